import { runInRootScope } from '@nestbox/core';
import type { LogPosition, LoggedChange, RedisChangeLog } from './change-log.js';
import type { ChangeTail } from './change-tail.js';
import { FailureLog } from './failure-log.js';
import { MergedReader } from './merged-reader.js';
import { Pause } from './pause.js';

/** The shortest time between two polls when there are no more changes already. */
const MIN_POLL_MS = 10;

/**
 * Follows the changes of several shards by asking for them now and then. Redis Cluster refuses a blocking read of
 * streams in different slots, and a connection for each shard would be too many.
 */
export class PollingTail implements ChangeTail {
  private readonly reader: MergedReader;
  private readonly failures = new FailureLog('Reading changes from Redis');
  private readonly pause = new Pause();
  private readonly running: Promise<void>;
  private poked = false;
  private closed = false;
  private reached = 0n;

  constructor(
    log: RedisChangeLog,
    private readonly pollMs: number,
    positions: readonly LogPosition[],
    private readonly onChanges: (changes: LoggedChange[]) => void,
  ) {
    this.reader = new MergedReader(log, positions);
    this.running = runInRootScope(() => this.run());
  }

  get horizon(): bigint {
    return this.reached;
  }

  poke(): void {
    this.poked = true;
    this.pause.end();
  }

  async close(): Promise<void> {
    this.closed = true;
    this.pause.end();
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.closed) {
      const started = performance.now();
      this.poked = false;
      if (await this.poll()) continue;
      await this.wait(started + MIN_POLL_MS, false);
      await this.wait(started + this.pollMs, true);
    }
  }

  /** Resolves to whether there are more changes already. */
  private async poll(): Promise<boolean> {
    try {
      const { changes, more, horizon } = await this.reader.read();
      this.failures.succeeded();
      if (this.closed) return false;
      this.reached = horizon;
      if (changes.length > 0) this.onChanges(changes);
      return more;
    } catch (error) {
      // A master is gone for now, or a slot is being moved. The next poll goes on from here.
      this.failures.failed(error);
      return false;
    }
  }

  private async wait(until: number, unlessPoked: boolean): Promise<void> {
    if (this.closed || (unlessPoked && this.poked)) return;
    const left = until - performance.now();
    if (left > 0) await this.pause.wait(left);
  }
}
