import type { EventStoreBackend } from '../event-store.backend.js';

/** How far the log goes. */
export interface LogBounds {
  /** The log is complete up to here. */
  readonly upTo: bigint;
  /** The position of the last event that is there; above `upTo` while a transaction before it is still open. */
  readonly head: bigint;
}

/** Looks up how far the log goes, once for all processors that ask at the same time. */
export class LogHead {
  private running: Promise<unknown> = Promise.resolve();
  private next: Promise<LogBounds> | undefined;

  constructor(private readonly backend: EventStoreBackend) {}

  /** Begins after this call, so that it sees what was committed before. */
  read(): Promise<LogBounds> {
    this.next ??= this.readAfter(this.running);
    return this.next;
  }

  private async readAfter(before: Promise<unknown>): Promise<LogBounds> {
    await before;
    const reading = Promise.all([this.backend.watermark(), this.backend.head()]);
    this.next = undefined;
    this.running = reading.catch(() => undefined);
    const [upTo, head] = await reading;
    return { upTo, head };
  }
}
