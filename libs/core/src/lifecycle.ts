import { ClosedError } from './errors.js';
import { runInRootScope } from './root-scope.js';

/** Opens something on first use, at most once at a time, and closes it once. */
export class Lifecycle {
  private opened = false;
  private opening: Promise<void> | undefined;
  private closing: Promise<void> | undefined;

  /**
   * @param what what to call it in a ClosedError
   * @param open a failure is the caller's, and the next use tries again
   * @param shut runs once, after an opening under way has ended; also when nothing was ever opened
   */
  constructor(
    private readonly what: string,
    private readonly open: () => Promise<void>,
    private readonly shut: () => Promise<void>,
  ) {}

  get isClosed(): boolean {
    return this.closing !== undefined;
  }

  /**
   * Opens it unless it is open. Returns undefined when there is nothing to wait for, so that a busy path can skip
   * the await: `const opening = lifecycle.ready(); if (opening) await opening;`
   *
   * @throws ClosedError (synchronously) after {@link close}
   */
  ready(): Promise<void> | undefined {
    if (this.closing !== undefined) throw new ClosedError(this.what);
    if (this.opened) return undefined;
    this.opening ??= this.start();
    return this.opening;
  }

  /** May be called twice, and without anything having been opened. */
  close(): Promise<void> {
    this.closing ??= this.stop();
    return this.closing;
  }

  private async start(): Promise<void> {
    try {
      // What is opened serves every later caller, so it must not belong to the first one's transaction.
      await runInRootScope(this.open);
    } catch (error) {
      this.opening = undefined;
      throw error;
    }
    if (this.closing !== undefined) throw new ClosedError(this.what);
    this.opened = true;
  }

  private async stop(): Promise<void> {
    // The one who opens it hears of its failure; here it only matters that it has ended.
    await this.opening?.catch(() => undefined);
    await runInRootScope(this.shut);
  }
}
