import { compareUtf8 } from '@nestbox/core';
import type { ReapedNode } from '../channel.store.js';
import type { ChannelBackend, ChannelRecord, ChannelTexts, ListedPage } from './channel-backend.js';
import { ChannelNodes } from './channel-nodes.js';
import { listPage } from './list-page.js';
import type { RedisChannelKeys } from './redis-channel-keys.js';
import type { RedisCommands } from './redis-commands.js';
import {
  HOLD_CLAIM_LUA,
  PUT_CHANNEL_LUA,
  PUT_MEMBER_LUA,
  PUT_INDEX_LUA,
  PUT_SESSION_LUA,
  TAKE_CHANNEL_LUA,
  TOUCH_LUA,
} from './scripts/steps.js';
import type { ClusterSubscriptions } from './subscriptions/cluster-subscriptions.js';
import { inChunks } from './subscriptions/in-chunks.js';

/** Channels that are worked on at once for one call. */
const AT_ONCE = 100;
/** Ids that are read at once. */
const PAGE = 200;
/** An id that is in the index for less may be about to get its channel. */
const FRESH_MS = 60_000;
const MAX_MISSING = 10_000;

/** Of a channel to be removed. */
interface Condition {
  /** Only when it was not touched for so long. */
  olderThanMs?: number;
  /** Only when it belongs to this instance, or has gone. */
  nodeId?: string;
}

/**
 * On a cluster the keys of a channel are in different slots, so an operation is a row of steps, each of which may be
 * done again.
 *
 * A channel is in the indexes and in the set of its instance before it is there itself, and leaves them after. Whatever
 * a crash leaves is found through those: by whoever removes the channel again, by the reaper, or by `tidy`.
 */
export class ClusterChannels extends ChannelNodes implements ChannelBackend {
  private tidied = { shard: 0, bound: '-' };
  /** Ids without a channel, and since when they are known. */
  private readonly missing = new Map<string, number>();

  constructor(
    commands: RedisCommands,
    keys: RedisChannelKeys,
    ttlMs: number,
    private readonly subscriptions: ClusterSubscriptions,
  ) {
    super(commands, keys, ttlMs);
  }

  async add({ channelId, channelName, openingData, nodeId = '' }: ChannelRecord): Promise<string | null> {
    const shard = this.keys.shardOf(channelId);
    await Promise.all([
      this.commands.run(PUT_INDEX_LUA, [this.keys.ids(shard)], channelId, this.ttlMs),
      nodeId !== '' && this.commands.run(PUT_MEMBER_LUA, [this.keys.node(nodeId)], channelId, this.ttlMs),
    ]);
    const before = await this.commands.run<string | null>(
      PUT_CHANNEL_LUA,
      [this.keys.channel(channelId)],
      channelId,
      channelName,
      openingData,
      nodeId,
      this.ttlMs,
    );
    if (before !== null && before !== nodeId) {
      await this.commands.command('SREM', this.keys.node(before), channelId);
    }
    await this.subscriptions.keep(channelId);
    return before;
  }

  async remove(channelIds: readonly string[], nodeId?: string): Promise<void> {
    await inChunks(channelIds, AT_ONCE, async (channelId) => {
      await this.removeOne(channelId, nodeId === undefined ? {} : { nodeId });
    });
  }

  async setSession(channelId: string, session: string | null, userId: string | null): Promise<boolean> {
    // The user first: one too many is seen to be wrong when it is read.
    if (userId !== null) await this.prolongSet(this.keys.user(userId), channelId);
    const found = await this.commands.run<[string | null] | null>(
      PUT_SESSION_LUA,
      [this.keys.channel(channelId)],
      session ?? '',
      userId ?? '',
      this.ttlMs,
    );
    const before = found === null ? userId : found[0];
    if (before !== null && (found === null || before !== userId)) {
      await this.commands.command('SREM', this.keys.user(before), channelId);
    }
    if (found === null) return false;
    await this.seen(channelId);
    return true;
  }

  async get(channelId: string): Promise<ChannelTexts | null> {
    const found = await this.fields(channelId, 'channelName', 'openingData', 'userSession');
    const [name, openingData, session] = found;
    return typeof name === 'string' ? [name, openingData ?? null, session ?? null] : null;
  }

  async locate(channelId: string): Promise<[nodeId: string | null] | null> {
    const [id, nodeId] = await this.fields(channelId, 'channelId', 'nodeId');
    return typeof id === 'string' ? [nodeId ?? null] : null;
  }

  async touch(channelIds: readonly string[]): Promise<void> {
    await inChunks(channelIds, AT_ONCE, async (channelId) => {
      const found = await this.commands.run<[string | null, string | null] | null>(
        TOUCH_LUA,
        [this.keys.channel(channelId)],
        this.ttlMs,
      );
      if (found === null) return;
      const [nodeId, userId] = found;
      await Promise.all([
        nodeId !== null && this.prolongSet(this.keys.node(nodeId), channelId),
        userId !== null && this.prolongSet(this.keys.user(userId), channelId),
        this.seen(channelId),
      ]);
    });
  }

  list(after: string | undefined, limit: number, name: string | undefined): Promise<ListedPage> {
    return listPage((bound, count) => this.readIds(bound, count), after, limit, name);
  }

  async count(): Promise<number> {
    const counts = await Promise.all(
      this.shards.map((shard) => this.commands.command('ZCARD', this.keys.ids(shard))),
    );
    return counts.reduce<number>((sum, count) => sum + Number(count), 0);
  }

  async removeStale(olderThanMs: number): Promise<string[]> {
    const removed: string[] = [];
    for (const shard of this.shards) {
      let bound = '-';
      for (;;) {
        const ids = await this.idsFrom(shard, bound);
        await inChunks(ids, AT_ONCE, async (channelId) => {
          if ((await this.removeOne(channelId, { olderThanMs })) === 'removed') removed.push(channelId);
        });
        if (ids.length < PAGE) break;
        bound = `(${ids.at(-1)}`;
      }
    }
    return removed;
  }

  async findByUser(userId: string): Promise<string[]> {
    const key = this.keys.user(userId);
    const found: string[] = [];
    await inChunks(await this.commands.command<string[]>('SMEMBERS', key), AT_ONCE, async (channelId) => {
      if (await this.belongsTo(channelId, userId)) found.push(channelId);
      else await this.forgetUser(channelId, userId);
    });
    return found;
  }

  async tidy(): Promise<void> {
    const { shard, bound } = this.tidied;
    const ids = await this.idsFrom(shard, bound);
    await inChunks(ids, AT_ONCE, async (channelId) => {
      const [id] = await this.fields(channelId, 'channelId');
      if (typeof id === 'string') this.missing.delete(channelId);
      else if (this.isLongMissing(channelId)) await this.removeRest(channelId);
    });
    this.tidied =
      ids.length < PAGE
        ? { shard: (shard + 1) % this.keys.shardCount, bound: '-' }
        : { shard, bound: `(${ids.at(-1)}` };
    await this.subscriptions.tidy();
  }

  async close(): Promise<void> {
    await this.subscriptions.close();
  }

  protected async clear(nodeId: string): Promise<ReapedNode> {
    const members = this.keys.node(nodeId);
    const channelIds: string[] = [];
    for (;;) {
      const some = await this.commands.command<string[]>('SRANDMEMBER', members, AT_ONCE);
      if (some.length === 0) break;
      await this.commands.run(HOLD_CLAIM_LUA, [this.keys.nodes], nodeId, this.claimMs);
      await inChunks(some, AT_ONCE, async (channelId) => {
        if ((await this.removeOne(channelId, { nodeId })) === 'removed') channelIds.push(channelId);
        await this.commands.command('SREM', members, channelId);
      });
    }
    await this.commands.run(HOLD_CLAIM_LUA, [this.keys.nodes], nodeId, '');
    return { nodeId, channelIds };
  }

  private get shards(): number[] {
    return Array.from({ length: this.keys.shardCount }, (_, shard) => shard);
  }

  /** Resolves to what there was: only one caller is told `removed`. */
  private async removeOne(
    channelId: string,
    { olderThanMs, nodeId }: Condition = {},
  ): Promise<'removed' | 'kept' | 'gone'> {
    const [result, owner, user] = await this.commands.run<
      ['removed' | 'kept' | 'gone', string | null, string | null]
    >(TAKE_CHANNEL_LUA, [this.keys.channel(channelId)], olderThanMs ?? '', nodeId ?? '');
    if (result === 'kept') return result;
    await this.removeRest(channelId);
    if (user) await this.commands.command('SREM', this.keys.user(user), channelId);
    if (owner) await this.commands.command('SREM', this.keys.node(owner), channelId);
    return result;
  }

  /** What belongs to a channel, and can be found without it. The indexes last, since they lead here. */
  private async removeRest(channelId: string): Promise<void> {
    const shard = this.keys.shardOf(channelId);
    await this.subscriptions.leaveAll(channelId);
    await this.commands.command('ZREM', this.keys.ids(shard), channelId);
  }

  /** Notes in what is kept about a channel that it is in use. */
  private async seen(channelId: string): Promise<void> {
    const shard = this.keys.shardOf(channelId);
    await Promise.all([
      this.commands.run(PUT_INDEX_LUA, [this.keys.ids(shard)], channelId, this.ttlMs),
      this.subscriptions.keep(channelId),
    ]);
  }

  private async prolongSet(key: string, channelId: string): Promise<void> {
    await this.commands.run(PUT_MEMBER_LUA, [key], channelId, this.ttlMs);
  }

  private async readIds(bound: string, count: number): Promise<[string, string | null, ...unknown[]][]> {
    const found = await Promise.all(
      this.shards.map((shard) =>
        this.commands.command<string[]>('ZRANGEBYLEX', this.keys.ids(shard), bound, '+', 'LIMIT', 0, count),
      ),
    );
    const ids = found.flat().sort(compareUtf8).slice(0, count);
    return Promise.all(
      ids.map(async (id): Promise<[string, string | null, ...unknown[]]> => {
        const [name, ...rest] = await this.fields(
          id,
          ...(['channelName', 'nodeId', 'createdAt', 'lastInteraction'] as const),
        );
        return [id, name ?? null, ...rest];
      }),
    );
  }

  private fields(channelId: string, ...names: string[]): Promise<(string | null)[]> {
    return this.commands.command('HMGET', this.keys.channel(channelId), ...names);
  }

  private async belongsTo(channelId: string, userId: string): Promise<boolean> {
    return (await this.fields(channelId, 'userId'))[0] === userId;
  }

  private async forgetUser(channelId: string, userId: string): Promise<void> {
    const key = this.keys.user(userId);
    await this.commands.command('SREM', key, channelId);
    // Its session may have been set between the two.
    if (await this.belongsTo(channelId, userId)) await this.prolongSet(key, channelId);
  }

  private async idsFrom(shard: number, bound: string): Promise<string[]> {
    return this.commands.command('ZRANGEBYLEX', this.keys.ids(shard), bound, '+', 'LIMIT', 0, PAGE);
  }

  /** Whether an id in the index was without a channel before, so that it is not about to get one. */
  private isLongMissing(channelId: string): boolean {
    const now = performance.now();
    const since = this.missing.get(channelId);
    if (since === undefined) {
      if (this.missing.size >= MAX_MISSING) this.missing.clear();
      this.missing.set(channelId, now);
      return false;
    }
    if (now - since < Math.min(FRESH_MS, this.ttlMs)) return false;
    this.missing.delete(channelId);
    return true;
  }
}
