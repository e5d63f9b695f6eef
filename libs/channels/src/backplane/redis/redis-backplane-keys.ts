import { InvalidArgumentError, assertName } from '@nestbox/core';

/**
 * Into so many buckets topics are divided. Each has one pub/sub channel and one slot of a cluster. The number is part
 * of the names, since instances that divide differently would not hear each other.
 */
export const BUCKETS = 64;

/** The names of what a backplane has in Redis: `<prefix>:<name>:{<bucket>/64}` and below. */
export class RedisBackplaneKeys {
  private readonly base: string;

  /** @throws InvalidArgumentError */
  constructor(prefix: string, name: string) {
    for (const [path, value] of [
      ['options.prefix', prefix],
      ['options.name', name],
    ] as const) {
      assertName(value, path);
      if (/[{}]/.test(value)) {
        throw new InvalidArgumentError(path, 'must not have braces, which decide on the slots of a cluster.');
      }
    }
    this.base = `${prefix}:${name}`;
  }

  /** The pub/sub channel of a bucket. What stands in braces decides on the slot. */
  channel(bucket: number): string {
    return `${this.base}:{${bucket}/${BUCKETS}}`;
  }

  /** A hash: `epoch`, `offset` of the newest message, and `ttl` in ms. */
  head(topic: string): string {
    return `${this.channel(bucketOf(topic))}:head:${topic}`;
  }

  /** A list of the messages that are kept, oldest first, up to the offset of the head without holes. */
  history(topic: string): string {
    return `${this.channel(bucketOf(topic))}:history:${topic}`;
  }
}

/** FNV-1a of the topic's UTF-16 code units. */
export function bucketOf(topic: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < topic.length; i++) {
    const unit = topic.charCodeAt(i);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >> 8), 0x01000193);
  }
  // The low bits alone mix badly.
  return ((hash ^ (hash >>> 16)) >>> 0) % BUCKETS;
}
