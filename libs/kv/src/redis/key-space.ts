import { InvalidArgumentError, assertName } from '@nestbox/core';

/** The structures of one shard, beside its entries. */
export interface ShardKeys {
  /** Hash: the newest revision, how many changes there were, the version floor, the newest fencing token. */
  readonly meta: string;
  /** Stream of changes. */
  readonly changes: string;
  /** Sorted set: when an entry expires, or a tombstone may be forgotten. */
  readonly due: string;
  /** Hash: the versions of entries that can expire, and of tombstones. */
  readonly marks: string;
  /** Sorted set of all keys, in byte order. */
  readonly index: string;
}

/**
 * Names everything that a store keeps in Redis.
 *
 * On a standalone server: entries `<prefix>:<key>`, all else `<prefix>#…`. On a cluster every name carries the hash
 * tag `{<shard>}`, so that what one script touches is in one slot.
 */
export class KeySpace {
  readonly layout: string;
  readonly sweeper: string;
  private readonly structures: readonly ShardKeys[];

  /** @param shards undefined on a standalone server */
  constructor(
    private readonly prefix: string,
    private readonly shards: number | undefined,
  ) {
    this.layout = `${prefix}#layout`;
    this.sweeper = `${prefix}#sweeper`;
    this.structures = Array.from({ length: this.shardCount }, (_, shard) => ({
      meta: this.name('#meta', shard),
      changes: this.name('#changes', shard),
      due: this.name('#due', shard),
      marks: this.name('#marks', shard),
      index: this.name('#index', shard),
    }));
  }

  get shardCount(): number {
    return this.shards ?? 1;
  }

  /** Always 0 on a standalone server. Keys with the same `{tag}` have the same shard. */
  shardOf(key: string): number {
    return this.shards === undefined ? 0 : hash(tagOf(key)) % this.shards;
  }

  shard(shard: number): ShardKeys {
    return this.structures[shard]!;
  }

  entry(key: string): string {
    return this.beforeEntry(this.shardOf(key)) + key;
  }

  /** What the names of a shard's entries begin with; the rest is the key. */
  beforeEntry(shard: number): string {
    return this.shards === undefined ? `${this.prefix}:` : `${this.prefix}:{${shard}}:`;
  }

  history(key: string): string {
    return `${this.name('#history', this.shardOf(key))}:${key}`;
  }

  lease(key: string): string {
    return `${this.name('#lease', this.shardOf(key))}:${key}`;
  }

  private name(what: string, shard: number): string {
    return this.shards === undefined ? this.prefix + what : `${this.prefix}${what}:{${shard}}`;
  }
}

/** @throws InvalidArgumentError when the prefix would confuse Redis Cluster */
export function assertKeyPrefix(prefix: unknown): asserts prefix is string {
  assertName(prefix, 'keyPrefix');
  if (/[{}]/.test(prefix)) {
    throw new InvalidArgumentError(
      'keyPrefix',
      'must not contain braces, which mean something to Redis Cluster.',
    );
  }
}

/** What is between the first `{` and the next `}`, unless that is nothing; else the whole key. As Redis does it. */
function tagOf(key: string): string {
  const open = key.indexOf('{');
  if (open === -1) return key;
  const close = key.indexOf('}', open + 1);
  return close <= open + 1 ? key : key.slice(open + 1, close);
}

/** FNV-1a of the UTF-16 units, with a final mix. Decides where entries are stored, so it can never change. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
