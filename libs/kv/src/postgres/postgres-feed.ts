import { ClosedError, backoffMs } from '@nestbox/core';
import { isConnectionLost } from '@nestbox/postgres';
import { setTimeout as sleep } from 'node:timers/promises';
import { operationError } from '../adapter-support.js';
import type { ChangeFeed, StoredChange } from '../kv.adapter.js';
import { RevisionTrimmedError } from '../kv.errors.js';
import type { ChangeTail } from './change-tail.js';
import { toStoredChange, type KvLog, type LoggedChange } from './kv-log.js';

/** Changes that one read gives at the most. */
const READ_LIMIT = 500;

/** A position in the log. Reads from what the tail has at hand or, where it lies further back, from the table. */
export class PostgresFeed implements ChangeFeed {
  private ended = false;
  private wakeReader: (() => void) | undefined;
  private readonly wake = (): void => this.wakeReader?.();

  private constructor(
    private readonly log: KvLog,
    private readonly tail: ChangeTail,
    private readonly prefix: string,
    /** The feed has given what it has to give up to this revision. */
    private position: bigint,
  ) {}

  /** @throws RevisionTrimmedError */
  static async open(
    log: KvLog,
    tail: ChangeTail,
    prefix: string,
    fromRevision: bigint | undefined,
  ): Promise<PostgresFeed> {
    const oldest = await log.keep();
    if (fromRevision !== undefined && fromRevision < oldest && oldest > 1n) {
      throw new RevisionTrimmedError(fromRevision, oldest);
    }
    const after = fromRevision === undefined ? await log.watermark() : fromRevision - 1n;
    const feed = new PostgresFeed(log, tail, prefix, after < oldest ? oldest - 1n : after);
    await tail.join(feed.wake);
    return feed;
  }

  async read(): Promise<StoredChange[]> {
    for (let attempt = 0; ;) {
      this.assertOpen();
      try {
        const changes = await this.next();
        attempt = 0;
        if (changes.length > 0) return changes.map(toStoredChange);
      } catch (error) {
        // The log waits for us in the table.
        if (!isConnectionLost(error)) throw operationError('read changes', error);
        await this.pause(backoffMs(++attempt, { baseMs: 50, maxMs: 2_000 }));
      }
    }
  }

  close(): Promise<void> {
    this.ended = true;
    this.tail.leave(this.wake);
    this.wake();
    return Promise.resolve();
  }

  /** The next changes, or none when it is worth asking again. */
  private async next(): Promise<LoggedChange[]> {
    const upTo = this.tail.position;
    if (this.position >= upTo) {
      const { failure } = this.tail;
      if (failure !== undefined) throw failure.error;
      await new Promise<void>((resolve) => {
        this.wakeReader = resolve;
      });
      this.wakeReader = undefined;
      return [];
    }
    const recent = this.tail.recentAbove(this.position);
    if (recent === undefined) return this.readTable(upTo);
    const changes: LoggedChange[] = [];
    for (const change of recent) {
      if (!change.key.startsWith(this.prefix)) continue;
      changes.push(change);
      if (changes.length === READ_LIMIT) break;
    }
    this.position = changes.length === READ_LIMIT ? changes.at(-1)!.revision : upTo;
    return changes;
  }

  private async readTable(upTo: bigint): Promise<LoggedChange[]> {
    const { changes, complete, oldest } = await this.log.read(this.position, upTo, this.prefix);
    this.assertOpen();
    if (oldest === undefined || oldest > this.position + 1n) {
      throw new RevisionTrimmedError(this.position + 1n, oldest ?? upTo + 1n);
    }
    this.position = complete ? upTo : changes.at(-1)!.revision;
    return changes;
  }

  private assertOpen(): void {
    if (this.ended) throw new ClosedError('The feed');
    this.tail.assertOpen();
  }

  private async pause(ms: number): Promise<void> {
    const waking = new AbortController();
    this.wakeReader = () => waking.abort();
    // It rejects only when it was woken.
    await sleep(ms, undefined, { ref: false, signal: waking.signal }).catch(() => undefined);
    this.wakeReader = undefined;
  }
}
