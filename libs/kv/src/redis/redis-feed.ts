import { ClosedError, backoffMs } from '@nestbox/core';
import type { ChangeFeed, StoredChange } from '../kv.adapter.js';
import { composeRevision, type LoggedChange } from './change-log.js';
import { FailureLog } from './failure-log.js';
import { CatchUpError, type FeedCursor } from './feed-cursor.js';
import { Pause } from './pause.js';
import { parseChange } from './stored-text.js';

/** How soon it is looked again for what is known to come. */
const JOIN_PAUSE_MS = 10;

export interface RedisFeedOptions {
  /** Lower revisions are not delivered. */
  fromRevision: bigint | undefined;
  shardCount: number;
  onClose(): void;
}

/** Changes, as its cursor selects them. */
export class RedisFeed implements ChangeFeed {
  private readonly failures = new FailureLog('Catching up with changes in Redis');
  private readonly pause = new Pause();
  private cursor: FeedCursor | undefined;
  private closed: ClosedError | undefined;

  constructor(private readonly options: RedisFeedOptions) {}

  /** Gives it its cursor. */
  start(cursor: FeedCursor): void {
    this.cursor = cursor;
  }

  /** There may be changes to read. */
  wake(): void {
    this.pause.end();
  }

  async read(): Promise<StoredChange[]> {
    for (let failures = 0; ;) {
      if (this.closed !== undefined) throw this.closed;
      const cursor = this.cursor!;
      try {
        const { changes, advanced } = await cursor.take();
        failures = 0;
        this.failures.succeeded();
        const wanted = this.parse(changes);
        if (wanted.length > 0) return wanted;
        if (!this.isOpen() || advanced) continue;
        await this.pause.wait(cursor.hasChanges ? JOIN_PAUSE_MS : Infinity);
      } catch (error) {
        if (!(error instanceof CatchUpError)) throw error;
        // Its place is kept, so that nothing is lost when Redis comes back.
        this.failures.failed(error.reason);
        failures++;
        if (this.isOpen()) await this.pause.wait(backoffMs(failures, { baseMs: 50, maxMs: 2000 }));
      }
    }
  }

  close(): Promise<void> {
    return this.end('The feed');
  }

  /** @param what what was closed */
  async end(what: string): Promise<void> {
    if (!this.isOpen()) return;
    this.closed = new ClosedError(what);
    this.options.onClose();
    this.wake();
  }

  private isOpen(): boolean {
    return this.closed === undefined;
  }

  private parse(changes: readonly LoggedChange[]): StoredChange[] {
    const { fromRevision = 0n, shardCount } = this.options;
    return changes.flatMap(({ shard, revision, key, text }) => {
      const composed = composeRevision(revision, shard, shardCount);
      return composed < fromRevision ? [] : [parseChange(key, text, composed)];
    });
  }
}
