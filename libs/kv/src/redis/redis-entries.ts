import type { RedisScript } from '@nestbox/redis';
import { readableSize } from '../adapter-support.js';
import type { KeyRange, KvStats, StoredEntry, StoredHistoryEntry } from '../kv.adapter.js';
import type { StreamEntry } from './change-log.js';
import type { KeySpace } from './key-space.js';
import type { RedisKeys } from './redis-keys.js';
import type { RedisLink } from './redis-link.js';
import type { RedisReader } from './redis-reader.js';
import type { RedisWriter } from './redis-writer.js';
import { parseEntry, parseHistory } from './stored-text.js';

/** Entries that are read or deleted at once when there may be many. */
const PAGE = 500;

/** Reads, counts and clears entries. */
export class RedisEntries {
  /** @param measureScript what MEASURE_LUA does */
  constructor(
    private readonly space: KeySpace,
    private readonly link: RedisLink,
    private readonly keys: RedisKeys,
    private readonly reader: RedisReader,
    private readonly writer: RedisWriter,
    private readonly measureScript: RedisScript,
  ) {}

  async get(key: string): Promise<StoredEntry | undefined> {
    const text = await this.reader.get(key);
    return text === null ? undefined : parseEntry(key, text);
  }

  /** Those that there are, in the order of the keys. */
  async getMany(keys: readonly string[]): Promise<StoredEntry[]> {
    const texts = await this.reader.getMany(keys);
    return texts.flatMap((text, i) => (text === null ? [] : [parseEntry(keys[i]!, text)]));
  }

  /** At most `range.limit`. */
  async list(range: KeyRange): Promise<StoredEntry[]> {
    const found: StoredEntry[] = [];
    // Keys in the index may have expired, so that one page may not be enough.
    for await (const keys of this.keys.pages(range, Math.min(range.limit, PAGE))) {
      for (const entry of await this.getMany(keys)) {
        found.push(entry);
        if (found.length === range.limit) return found;
      }
    }
    return found;
  }

  /** Resolves to how many it deleted. */
  async clear(prefix: string, record: boolean): Promise<number> {
    let count = 0;
    for (let shard = 0; shard < this.space.shardCount; shard++) {
      for await (const keys of this.keys.pagesOfShard(shard, prefix, PAGE)) {
        count += await this.writer.deleteMany(keys, record);
      }
    }
    return count;
  }

  async stats(prefix: string): Promise<KvStats> {
    let count = 0;
    let bytes = 0;
    for (let shard = 0; shard < this.space.shardCount; shard++) {
      for await (const keys of this.keys.pagesOfShard(shard, prefix, PAGE)) {
        const entries = keys.map((key) => this.space.entry(key));
        const [found, size] = (await this.measureScript.run(entries)) as unknown[];
        count += Number(found);
        bytes += Number(size);
      }
    }
    return { count, size: readableSize(bytes), bytes };
  }

  /** Newest first. */
  history(key: string, limit: number): Promise<StoredHistoryEntry[]> {
    return this.states(key, 'XREVRANGE', '+', '-', limit);
  }

  async version(key: string, version: bigint): Promise<StoredHistoryEntry | undefined> {
    const id = `${version}-0`;
    const [found] = await this.states(key, 'XRANGE', id, id, 1);
    return found;
  }

  private async states(
    key: string,
    command: 'XRANGE' | 'XREVRANGE',
    from: string,
    to: string,
    limit: number,
  ): Promise<StoredHistoryEntry[]> {
    const args = [this.space.history(key), from, to, 'COUNT', limit];
    const states = (await this.link.command(command, args)) as StreamEntry[];
    return states.map(([, [, text]]) => parseHistory(key, text!));
  }
}
