import { backoffMs, runInRootScope } from '@nestbox/core';
import { changesIn, lastIdOf, type LogPosition, type LoggedChange, type StreamEntry } from './change-log.js';
import type { ChangeTail } from './change-tail.js';
import type { KeySpace } from './key-space.js';
import { FailureLog } from './failure-log.js';
import { Pause } from './pause.js';
import type { BlockingConnection } from './redis-link.js';

const READ_ENTRIES = 100;
/** How long Redis holds a read without changes. */
export const BLOCK_MS = 5000;
/** A read that takes longer than that and this is on a connection that is dead without having said so. */
const GRACE_MS = 3000;

/** Follows the changes of a store with one shard by blocking reads on a connection of its own; wakes at once. */
export class BlockingTail implements ChangeTail {
  private readonly failures = new FailureLog('Reading changes from Redis');
  private readonly pause = new Pause();
  private readonly running: Promise<void>;
  private connection: BlockingConnection | undefined;
  private closed = false;

  constructor(
    private readonly connect: () => BlockingConnection,
    private readonly space: KeySpace,
    private position: LogPosition,
    private readonly onChanges: (changes: LoggedChange[]) => void,
  ) {
    this.running = runInRootScope(() => this.run());
  }

  get horizon(): bigint {
    return this.position.revision;
  }

  poke(): void {
    // Redis wakes it.
  }

  async close(): Promise<void> {
    this.closed = true;
    this.connection?.close();
    this.pause.end();
    await this.running;
  }

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.closed) {
      try {
        const changes = changesIn(this.space, 0, await this.read());
        failures = 0;
        this.failures.succeeded();
        if (changes.length === 0 || this.closed) continue;
        this.position = changes.at(-1)!;
        this.onChanges(changes);
      } catch (error) {
        if (this.closed) break;
        // The position is kept, and the next read goes on from there.
        this.failures.failed(error);
        failures++;
        await this.pause.wait(backoffMs(failures, { baseMs: 50, maxMs: 2000 }));
      }
    }
    this.connection?.close();
  }

  private async read(): Promise<StreamEntry[]> {
    const connection = (this.connection ??= this.connect());
    const watchdog = setTimeout(() => connection.reset(), BLOCK_MS + GRACE_MS).unref();
    const options = ['COUNT', READ_ENTRIES, 'BLOCK', BLOCK_MS];
    try {
      return entriesIn(
        await connection.command('XREAD', [
          ...options,
          'STREAMS',
          this.space.shard(0).changes,
          lastIdOf(this.position.revision),
        ]),
      );
    } finally {
      clearTimeout(watchdog);
    }
  }
}

/**
 * XREAD gives a list of pairs of stream and entries; with RESP3 a map, which the client makes a flat list of
 * (ioredis' default) or an object.
 */
function entriesIn(reply: unknown): StreamEntry[] {
  if (reply === null || reply === undefined) return [];
  if (!Array.isArray(reply)) return Object.values(reply as Record<string, StreamEntry[]>)[0] ?? [];
  const [first, second] = reply as unknown[];
  return ((Array.isArray(first) ? first[1] : second) ?? []) as StreamEntry[];
}
