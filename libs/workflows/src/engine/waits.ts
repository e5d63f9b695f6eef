import type { RunRow, SignalRow } from '../workflow.backend.js';

/** What a branch of a run waits for, with the run parked or not. */
export interface Wait {
  /** When it is over, on the monotonic clock; Infinity for never. */
  readonly dueAt: number;
  readonly signalName?: string;
  readonly childId?: string;
  /** Called when the time is up. */
  expire(): void;
  signalled?(signal: SignalRow): void;
  ended?(outcome: RunRow): void;
  reject(error: unknown): void;
}

/** setTimeout counts no further. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** What a run waits for. */
export class Waits {
  private readonly all = new Set<Wait>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly now: () => number) {}

  get size(): number {
    return this.all.size;
  }

  get signals(): string[] {
    return [...new Set([...this.all].flatMap(({ signalName }) => signalName ?? []))];
  }

  get children(): string[] {
    return [...this.all].flatMap(({ childId }) => childId ?? []);
  }

  /** In how many ms the first one is over; undefined when none is by itself. */
  get dueInMs(): number | undefined {
    let first = Infinity;
    for (const { dueAt } of this.all) first = Math.min(first, dueAt);
    return first === Infinity ? undefined : Math.max(0, first - this.now());
  }

  add(wait: Wait): void {
    this.all.add(wait);
    this.plan();
  }

  delete(wait: Wait): void {
    this.all.delete(wait);
  }

  /** The oldest that waits for it. */
  find(matches: (wait: Wait) => boolean): Wait | undefined {
    for (const wait of this.all) if (matches(wait)) return wait;
    return undefined;
  }

  rejectAll(error: unknown): void {
    const waits = [...this.all];
    this.clear();
    for (const wait of waits) wait.reject(error);
  }

  clear(): void {
    this.all.clear();
    clearTimeout(this.timer);
  }

  /** Ends those whose time is up. */
  check(): void {
    for (const wait of this.all) {
      if (wait.dueAt > this.now()) continue;
      this.all.delete(wait);
      wait.expire();
    }
    this.plan();
  }

  private plan(): void {
    clearTimeout(this.timer);
    const ms = this.dueInMs;
    if (ms === undefined) return;
    this.timer = setTimeout(() => this.check(), Math.min(Math.ceil(ms), MAX_TIMEOUT_MS)).unref();
  }
}
