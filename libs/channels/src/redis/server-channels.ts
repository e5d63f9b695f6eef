import { Coalescer } from '@nestbox/core';
import type { ReapedNode } from '../channel.store.js';
import type { ChannelBackend, ChannelRecord, ChannelTexts, ListedPage } from './channel-backend.js';
import { ChannelNodes } from './channel-nodes.js';
import { listPage } from './list-page.js';
import type { RedisChannelKeys } from './redis-channel-keys.js';
import { settled, type RedisCommands } from './redis-commands.js';
import {
  CHANNELS_LUA,
  CLEAR_NODE_LUA,
  COUNT_LUA,
  LIST_LUA,
  STALE_LUA,
  USER_LUA,
} from './scripts/channels.js';
import type { RedisSubscriptions } from './subscriptions/redis-subscriptions.js';

interface Operation {
  what: 'add' | 'session' | 'get' | 'locate' | 'touch' | 'remove';
  channelId: string;
  first?: string;
  second?: string;
  /** Of `add`. */
  nodeId?: string;
}

/** Channels in one script at the most: each blocks the server for some microseconds. */
const CHUNK = 250;
const CHUNKS_OF_EXPIRED = 10;

/** On one server each operation is atomic; those called at the same time go together in one script. */
export class ServerChannels extends ChannelNodes implements ChannelBackend {
  private readonly coalescer: Coalescer<Operation, unknown>;

  constructor(
    commands: RedisCommands,
    keys: RedisChannelKeys,
    ttlMs: number,
    private readonly subscriptions: RedisSubscriptions,
  ) {
    super(commands, keys, ttlMs);
    this.coalescer = new Coalescer({
      name: 'RedisChannelStore',
      flush: (operations) => this.send(operations),
      size: ({ first = '', second = '' }) => first.length + second.length,
      maxItems: CHUNK,
      maxInFlight: 2,
    });
  }

  async add({ channelId, channelName, openingData, nodeId = '' }: ChannelRecord): Promise<void> {
    const rest = { first: channelName, second: openingData, nodeId };
    settled(await this.coalescer.run({ what: 'add', channelId, ...rest }));
  }

  async remove(channelIds: readonly string[]): Promise<void> {
    await this.runAll('remove', channelIds);
  }

  async setSession(channelId: string, session: string | null, userId: string | null): Promise<boolean> {
    const rest = { first: session ?? '', second: userId ?? '' };
    return Number(settled(await this.coalescer.run({ what: 'session', channelId, ...rest }))) === 1;
  }

  async get(channelId: string): Promise<ChannelTexts | null> {
    return settled(await this.coalescer.run({ what: 'get', channelId }));
  }

  async locate(channelId: string): Promise<[nodeId: string | null] | null> {
    return settled(await this.coalescer.run({ what: 'locate', channelId }));
  }

  async touch(channelIds: readonly string[]): Promise<void> {
    await this.runAll('touch', channelIds);
  }

  list(after: string | undefined, limit: number, name: string | undefined): Promise<ListedPage> {
    const read = (bound: string, count: number) =>
      this.commands.run<ListedPage['channels']>(
        LIST_LUA,
        [this.keys.ids(0), this.keys.seen(0)],
        this.keys.before,
        bound,
        count,
      );
    return listPage(read, after, limit, name);
  }

  async count(): Promise<number> {
    return Number(await this.commands.run(COUNT_LUA, [this.keys.seen(0)], this.ttlMs));
  }

  async removeStale(olderThanMs: number): Promise<string[]> {
    const removed: string[] = [];
    for (;;) {
      const [some, found] = await this.removeOlder(olderThanMs, '');
      removed.push(...some);
      if (found < CHUNK) return removed;
    }
  }

  findByUser(userId: string): Promise<string[]> {
    return this.commands.run(USER_LUA, [this.keys.user(userId)], this.keys.before, userId);
  }

  async tidy(): Promise<void> {
    for (let i = 0; i < CHUNKS_OF_EXPIRED; i++) {
      const [removed, found] = await this.removeOlder(this.ttlMs, 'gone');
      if (removed.length === 0 || found < CHUNK) break;
    }
    await this.subscriptions.tidy();
  }

  async close(): Promise<void> {
    await Promise.all([this.coalescer.close(), this.subscriptions.close()]);
  }

  protected async clear(nodeId: string): Promise<ReapedNode> {
    const channelIds: string[] = [];
    for (;;) {
      const [removed, more] = await this.commands.run<[string[], unknown]>(
        CLEAR_NODE_LUA,
        [...this.indexes, this.keys.nodes, this.keys.node(nodeId)],
        this.keys.before,
        this.ttlMs,
        nodeId,
        CHUNK,
        this.claimMs,
      );
      channelIds.push(...removed);
      if (Number(more) === 0) return { nodeId, channelIds };
    }
  }

  private get indexes(): string[] {
    return [this.keys.ids(0), this.keys.seen(0), this.keys.topics(0)];
  }

  private async removeOlder(ms: number, which: 'gone' | ''): Promise<[removed: string[], found: number]> {
    const args = [this.keys.before, this.ttlMs, ms, CHUNK, which];
    const [removed, found] = await this.commands.run<[string[], unknown]>(STALE_LUA, this.indexes, ...args);
    return [removed, Number(found)];
  }

  /** In pieces, so that a long list neither blocks the server nor fills the queue. */
  private async runAll(what: 'touch' | 'remove', channelIds: readonly string[]): Promise<void> {
    for (let i = 0; i < channelIds.length; i += CHUNK) {
      const chunk = channelIds.slice(i, i + CHUNK);
      const results = await Promise.all(chunk.map((channelId) => this.coalescer.run({ what, channelId })));
      for (const result of results) settled(result);
    }
  }

  private send(operations: readonly Operation[]): Promise<unknown[]> {
    const keys = this.indexes;
    const args: (string | number)[] = [this.keys.before, this.ttlMs];
    for (const { what, channelId, first = '', second = '', nodeId = '' } of operations) {
      keys.push(this.keys.channel(channelId), this.keys.subs(channelId));
      args.push(what, channelId, first, second);
      if (what === 'add') args.push(nodeId);
    }
    return this.commands.run(CHANNELS_LUA, keys, ...args);
  }
}
