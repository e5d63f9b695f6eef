import { compareUtf8 } from '@nestbox/core';
import type { KeyRange } from '../kv.adapter.js';
import { lexRange, type LexRange } from './key-range.js';
import type { KeySpace } from './key-space.js';
import type { RedisLink } from './redis-link.js';

/** Keys of one shard that are read at once. */
const MAX_CHUNK = 1000;

/** Walks the index of keys, in which expired entries may still be until they are swept. */
export class RedisKeys {
  constructor(
    private readonly space: KeySpace,
    private readonly link: RedisLink,
  ) {}

  /** The keys of a range in order, over all shards, in pages of about `pageSize`. */
  async *pages(range: KeyRange, pageSize: number): AsyncGenerator<string[], void, undefined> {
    const bounds = lexRange(range);
    if (bounds === undefined) return;
    const { shardCount } = this.space;
    // Keys are spread evenly, so that this is mostly enough for a page.
    const chunk = Math.min(
      MAX_CHUNK,
      shardCount === 1 ? pageSize : Math.ceil((2 * pageSize) / shardCount) + 8,
    );
    const reverse = range.reverse ?? false;
    const walks = Array.from({ length: shardCount }, (_, shard) => this.walk(shard, bounds, reverse, chunk));
    for (;;) {
      const page = await merge(walks, reverse, pageSize);
      if (page.length === 0) return;
      yield page;
    }
  }

  /** The keys of one shard with a prefix, in pages. Keys that are deleted meanwhile do no harm. */
  async *pagesOfShard(
    shard: number,
    prefix: string,
    pageSize: number,
  ): AsyncGenerator<string[], void, undefined> {
    const walk = this.walk(shard, lexRange({ prefix, limit: 1 })!, false, pageSize);
    for (;;) {
      await walk.fill();
      if (walk.keys.length === 0) return;
      yield walk.keys.splice(0);
    }
  }

  private walk(shard: number, { min, max }: LexRange, reverse: boolean, chunk: number): ShardWalk {
    return new ShardWalk(async (last) => {
      const next = last === undefined ? undefined : `(${last}`;
      const bounds = reverse ? [next ?? max, min] : [next ?? min, max];
      const command = reverse ? 'ZREVRANGEBYLEX' : 'ZRANGEBYLEX';
      const { index } = this.space.shard(shard);
      return (await this.link.command(command, [index, ...bounds, 'LIMIT', 0, chunk])) as string[];
    }, chunk);
  }
}

/** The keys of one shard, read ahead by a chunk. */
class ShardWalk {
  keys: string[] = [];
  private last: string | undefined;
  private ended = false;

  constructor(
    private readonly read: (last: string | undefined) => Promise<string[]>,
    private readonly chunk: number,
  ) {}

  get mayHaveMore(): boolean {
    return this.keys.length === 0 && !this.ended;
  }

  async fill(): Promise<void> {
    if (!this.mayHaveMore) return;
    this.keys = await this.read(this.last);
    this.last = this.keys.at(-1);
    this.ended = this.keys.length < this.chunk;
  }
}

/** The next keys over all walks in order. */
async function merge(walks: ShardWalk[], reverse: boolean, count: number): Promise<string[]> {
  if (walks.length === 1) {
    await walks[0]!.fill();
    return walks[0]!.keys.splice(0, count);
  }
  const merged: string[] = [];
  while (merged.length < count) {
    if (walks.some((walk) => walk.mayHaveMore)) await Promise.all(walks.map((walk) => walk.fill()));
    let next: ShardWalk | undefined;
    for (const walk of walks) {
      if (walk.keys.length > 0 && (next === undefined || precedes(walk.keys[0]!, next.keys[0]!, reverse)))
        next = walk;
    }
    if (next === undefined) break;
    merged.push(next.keys.shift()!);
  }
  return merged;
}

function precedes(a: string, b: string, reverse: boolean): boolean {
  const order = compareUtf8(a, b);
  return reverse ? order > 0 : order < 0;
}
