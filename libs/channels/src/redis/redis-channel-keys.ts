import { assertName } from '@nestbox/core';

/** Over how many keys each index is spread on a cluster, where one key for all would be a hot spot. */
const CLUSTER_SHARDS = 16;

/**
 * The keys of channels and their subscriptions. What a key is for stands before any text of the user's, so that no
 * two things share one whatever they are called.
 */
export class RedisChannelKeys {
  /** Of each index; 1 where there is one server. */
  readonly shardCount: number;
  /** With the colon after it. */
  readonly before: string;
  /** The instances and the ends of their leases. */
  readonly nodes: string;

  /** @throws InvalidArgumentError */
  constructor(prefix: string, isCluster: boolean) {
    assertName(prefix, 'keyPrefix');
    this.before = `${prefix}:`;
    this.shardCount = isCluster ? CLUSTER_SHARDS : 1;
    this.nodes = `${this.before}nodes`;
  }

  /** A hash: the channel. */
  channel(channelId: string): string {
    return `${this.before}channel:${channelId}`;
  }

  /** A set: the topics of a channel. */
  subs(channelId: string): string {
    return `${this.before}subs:${channelId}`;
  }

  /** A set: the channels of a topic. */
  topic(topic: string): string {
    return `${this.before}topic:${topic}`;
  }

  /** A set: the channels of an instance. */
  node(nodeId: string): string {
    return `${this.before}node:${nodeId}`;
  }

  /** A set: the channels of a user. */
  user(userId: string): string {
    return `${this.before}user:${userId}`;
  }

  /** A sorted set of channel ids, all with the same score, for lists. */
  ids(shard: number): string {
    return this.shardKey('ids', shard);
  }

  /** A sorted set of topics, all with the same score. */
  topics(shard: number): string {
    return this.shardKey('topics', shard);
  }

  /** Where a channel or a topic is in its index. */
  shardOf(name: string): number {
    if (this.shardCount === 1) return 0;
    // FNV-1a.
    let hash = 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    return (hash >>> 0) % this.shardCount;
  }

  private shardKey(index: string, shard: number): string {
    return this.shardCount === 1 ? this.before + index : `${this.before}${index}:${shard}`;
  }
}
