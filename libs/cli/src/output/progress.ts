import type { Terminal } from '../terminal.js';
import { formatCount } from './format.js';

const BAR = 24;
const EVERY_MS = 100;

/** How far a long work is, on a line of its own, where stderr is a terminal. Elsewhere it does nothing. */
export class Progress implements Disposable {
  private shownAt = -Infinity;

  /**
   * @param verb such as `Exporting`
   * @param unit such as `entries`
   */
  constructor(
    private readonly terminal: Terminal,
    private readonly verb: string,
    private readonly unit: string,
  ) {}

  /** Shows a text in the place of numbers, at once. */
  say(text: string): void {
    this.terminal.progress?.(`${this.verb}: ${text}`);
  }

  /** @param total undefined where nobody knows it */
  update(done: number | bigint, total?: number | bigint): void {
    const now = performance.now();
    if (this.terminal.progress === undefined || now - this.shownAt < EVERY_MS) return;
    this.shownAt = now;
    this.terminal.progress(this.line(Number(done), total === undefined ? undefined : Number(total)));
  }

  [Symbol.dispose](): void {
    this.terminal.progress?.('');
  }

  private line(done: number, total: number | undefined): string {
    if (total === undefined || total <= 0) return `${this.verb} ${formatCount(done)} ${this.unit}`;
    const share = Math.min(1, done / total);
    const filled = Math.round(share * BAR);
    const bar = '#'.repeat(filled) + '.'.repeat(BAR - filled);
    const percent = `${Math.floor(share * 100)}%`.padStart(5);
    return `${this.verb} [${bar}]${percent}  ${formatCount(done)} of ${formatCount(total)} ${this.unit}`;
  }
}
