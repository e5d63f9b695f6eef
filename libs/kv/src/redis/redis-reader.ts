import { Coalescer } from '@nestbox/core';
import type { RedisLink } from './redis-link.js';
import type { KeySpace } from './key-space.js';

/** Entries in one MGET. */
const FLUSH_KEYS = 50;
const CHUNK_KEYS = 500;

/**
 * Reads the texts of entries; null where there is none.
 *
 * On a standalone server concurrent reads go together in an MGET. On a cluster each is a GET, since while a slot is
 * being moved only commands with a single key are always served.
 */
export class RedisReader {
  private readonly coalescer: Coalescer<string, string | null>;

  constructor(
    private readonly space: KeySpace,
    private readonly link: RedisLink,
  ) {
    this.coalescer = new Coalescer({
      name: 'RedisAdapter',
      flush: (entries) => link.command('MGET', entries) as Promise<(string | null)[]>,
      maxItems: FLUSH_KEYS,
      maxInFlight: 4,
    });
  }

  get(key: string): Promise<string | null> {
    const entry = this.space.entry(key);
    if (this.link.isCluster) return this.link.command('GET', [entry]) as Promise<string | null>;
    return this.coalescer.run(entry);
  }

  async getMany(keys: readonly string[]): Promise<(string | null)[]> {
    const found: (string | null)[] = [];
    for (let i = 0; i < keys.length; i += CHUNK_KEYS) {
      found.push(...(await this.getChunk(keys.slice(i, i + CHUNK_KEYS))));
    }
    return found;
  }

  /** Resolves when all reads have been settled. */
  close(): Promise<void> {
    return this.coalescer.close();
  }

  private async getChunk(keys: readonly string[]): Promise<(string | null)[]> {
    if (this.link.isCluster) return Promise.all(keys.map((key) => this.get(key)));
    return (await this.link.command(
      'MGET',
      keys.map((key) => this.space.entry(key)),
    )) as (string | null)[];
  }
}
