import type { RedisScript } from '@nestbox/redis';
import { RevisionTrimmedError } from '../kv.errors.js';
import type { KeySpace } from './key-space.js';
import type { RedisLink } from './redis-link.js';

/** How far the changes of a shard have been read. */
export interface LogPosition {
  /** The revision of the newest change read. Grows, with gaps. */
  revision: bigint;
  /** How many changes there had been then. Grows by one with each, so that a gap shows. */
  number: bigint;
  /** Where the entry of the stream has further changes: the revision of its first one. */
  entry?: bigint;
}

/** A change as the stream of its shard holds it. */
export interface LoggedChange extends LogPosition {
  shard: number;
  key: string;
  text: string;
}

/** What has been read of a shard. */
export interface LogPage {
  changes: LoggedChange[];
  /** Whether there may be more. */
  more: boolean;
  /** Every change that is made later will have a higher revision. */
  horizon: bigint;
}

/**
 * What XRANGE gives for an entry of a stream: the id `<revision>-<number>` of its first change; then by turns the name
 * of an entry of the store and its text.
 */
export type StreamEntry = [id: string, fields: string[]];

const LAST_NUMBER = '18446744073709551615';
/** Revisions are microseconds since the epoch; nothing since the year 2001 is lower. */
const FIRST_POSSIBLE_REVISION = 1_000_000_000_000_000n;

/** The changes in entries of a shard's stream, in order. */
export function changesIn(space: KeySpace, shard: number, entries: readonly StreamEntry[]): LoggedChange[] {
  const beforeKey = space.beforeEntry(shard).length;
  return entries.flatMap(([id, fields]) => {
    const first = positionOf(id);
    const changes: LoggedChange[] = [];
    for (let i = 0; i < fields.length; i += 2) {
      const offset = BigInt(i / 2);
      changes.push({
        shard,
        revision: first.revision + offset,
        number: first.number + offset,
        ...(i + 2 < fields.length ? { entry: first.revision } : undefined),
        key: fields[i]!.slice(beforeKey),
        text: fields[i + 1]!,
      });
    }
    return changes;
  });
}

/** The last stream id that a change of this revision can have. */
export function lastIdOf(revision: bigint): string {
  return `${revision}-${LAST_NUMBER}`;
}

/** One revision for all shards: unique, in the order of {@link compareChanges}. */
export function composeRevision(revision: bigint, shard: number, shardCount: number): bigint {
  return revision * BigInt(shardCount) + BigInt(shard);
}

export function compareChanges(a: LoggedChange, b: LoggedChange): number {
  if (a.revision !== b.revision) return a.revision < b.revision ? -1 : 1;
  return a.shard - b.shard;
}

/** The changes of all shards, as Redis keeps them. */
export class RedisChangeLog {
  /** @param readScript what READ_LUA does */
  constructor(
    private readonly space: KeySpace,
    private readonly link: RedisLink,
    private readonly readScript: RedisScript,
  ) {}

  get shardCount(): number {
    return this.space.shardCount;
  }

  /** The position of the newest change of each shard. */
  newest(): Promise<LogPosition[]> {
    return Promise.all(Array.from({ length: this.shardCount }, (_, shard) => this.newestOf(shard)));
  }

  /**
   * A revision such that there are no more changes to come that have it or a lower one. On several shards that is the
   * time of the master whose clock is last.
   */
  async revision(): Promise<bigint> {
    if (this.shardCount === 1) return (await this.newestOf(0)).revision;
    const pages = await Promise.all(
      Array.from({ length: this.shardCount }, (_, shard) => this.page(shard, `${2n ** 62n}-0`, 0n, 1)),
    );
    const horizon = pages.reduce((least, page) => (page.horizon < least ? page.horizon : least), 2n ** 63n);
    return composeRevision(horizon, this.shardCount - 1, this.shardCount);
  }

  /** Changes of a shard after a position, from up to `count` entries of its stream. */
  after(shard: number, position: LogPosition, count: number): Promise<LogPage> {
    const { revision, entry } = position;
    return this.page(shard, entry === undefined ? `(${lastIdOf(revision)}` : `${entry}-0`, revision, count);
  }

  /**
   * Positions before a revision, one for each shard: just before, or where its entry of the stream begins.
   *
   * @throws RevisionTrimmedError when changes since then are no longer kept
   */
  before(composed: bigint): Promise<LogPosition[]> {
    const count = BigInt(this.shardCount);
    return Promise.all(
      Array.from({ length: this.shardCount }, (_, shard) =>
        this.beforeIn(shard, (composed - BigInt(shard) + count - 1n) / count, composed),
      ),
    );
  }

  private async newestOf(shard: number): Promise<LogPosition> {
    const { meta } = this.space.shard(shard);
    const [revision, number] = (await this.link.command('HMGET', [meta, 'revision', 'changes'])) as string[];
    return { revision: BigInt(revision ?? 0), number: BigInt(number ?? 0) };
  }

  private async beforeIn(shard: number, revision: bigint, composed: bigint): Promise<LogPosition> {
    const { changes } = this.space.shard(shard);
    const upTo = lastIdOf(revision < 0n ? 0n : revision);
    const [found] = (await this.link.command('XREVRANGE', [changes, upTo, '-', 'COUNT', 1])) as StreamEntry[];
    if (found !== undefined) {
      const first = positionOf(found[0]);
      const count = BigInt(found[1].length / 2);
      // Within an entry, all of the entry is read.
      const before = revision < first.revision + count ? 0n : count;
      return { revision: first.revision + before - 1n, number: first.number + before - 1n };
    }
    const trimmed = (oldest: bigint) =>
      new RevisionTrimmedError(composed, composeRevision(oldest, shard, this.shardCount));
    const [oldest] = (await this.link.command('XRANGE', [changes, '-', '+', 'COUNT', 1])) as StreamEntry[];
    if (oldest === undefined) {
      const newest = await this.newestOf(shard);
      if (newest.number === 0n || revision > newest.revision) return newest;
      throw trimmed(newest.revision + 1n);
    }
    const first = positionOf(oldest[0]);
    // All is there since the first change. But a revision before it that a store with one shard has once given out is
    // of a store that has been lost; several shards give out revisions before there is any change.
    const lost = this.shardCount === 1 && revision >= FIRST_POSSIBLE_REVISION;
    if (first.number === 1n && !lost) return { revision: 0n, number: 0n };
    throw trimmed(first.revision);
  }

  private async page(shard: number, from: string, after: bigint, count: number): Promise<LogPage> {
    const { changes } = this.space.shard(shard);
    let entries: StreamEntry[];
    // With one shard there is nothing to wait for.
    let horizon = 2n ** 62n;
    if (this.shardCount === 1) {
      entries = (await this.link.command('XRANGE', [changes, from, '+', 'COUNT', count])) as StreamEntry[];
    } else {
      const [micros, read] = (await this.readScript.run([changes], [from, count])) as [string, StreamEntry[]];
      entries = read;
      horizon = BigInt(micros) - 1n;
    }
    const found = changesIn(this.space, shard, entries).filter(({ revision }) => revision > after);
    return { changes: found, more: entries.length === count, horizon };
  }
}

function positionOf(id: string): LogPosition {
  const dash = id.indexOf('-');
  return { revision: BigInt(id.slice(0, dash)), number: BigInt(id.slice(dash + 1)) };
}
