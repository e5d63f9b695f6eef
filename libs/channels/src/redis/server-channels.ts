import { Coalescer } from '@nestbox/core';
import type { ReapedNode } from '../channel.store.js';
import type { ChannelBackend, ChannelRecord, ChannelTexts, ListedPage } from './channel-backend.js';
import { ChannelNodes } from './channel-nodes.js';
import { listPage } from './list-page.js';
import type { RedisChannelKeys } from './redis-channel-keys.js';
import { isReply, settled, type RedisCommands } from './redis-commands.js';
import {
  CLEAR_NODE_LUA,
  LIST_LUA,
  READ_CHANNELS_LUA,
  STALE_LUA,
  USER_LUA,
  WRITE_CHANNELS_LUA,
} from './scripts/channels.js';
import type { RedisSubscriptions } from './subscriptions/redis-subscriptions.js';

/** A write, as the script takes it. */
interface Write {
  channelId: string;
  args: string[];
}

/** Channels in one script at the most when a list is given: each blocks the server for some microseconds. */
const CHUNK = 250;
/** Some small batches, so that the server and this process work at the same time. */
const BATCH = { maxItems: 25, maxInFlight: 3 } as const;

/** On one server each operation is atomic; those called at the same time go together in one script. */
export class ServerChannels extends ChannelNodes implements ChannelBackend {
  private readonly writes: Coalescer<Write, unknown>;
  private readonly reads: Coalescer<string, string | null>;
  private tidied = '-';

  constructor(
    commands: RedisCommands,
    keys: RedisChannelKeys,
    ttlMs: number,
    private readonly subscriptions: RedisSubscriptions,
  ) {
    super(commands, keys, ttlMs);
    const name = 'RedisChannelStore';
    this.writes = new Coalescer({ name, flush: (writes) => this.send(writes), ...BATCH });
    this.reads = new Coalescer({
      name,
      flush: (channels) => this.commands.run(READ_CHANNELS_LUA, channels),
      // Only the one who asked for something else than a channel hears of it.
      isDataError: isReply,
      ...BATCH,
    });
  }

  async add({ channelId, channelName, openingData, nodeId = '' }: ChannelRecord): Promise<string | null> {
    const args = ['a', channelName, openingData, nodeId];
    return settled(await this.writes.run({ channelId, args })) as string | null;
  }

  async remove(channelIds: readonly string[], nodeId = ''): Promise<void> {
    await this.runAll(['r', nodeId], channelIds);
  }

  async setSession(channelId: string, session: string | null, userId: string | null): Promise<boolean> {
    const args = ['s', session ?? '', userId ?? ''];
    return Number(settled(await this.writes.run({ channelId, args }))) === 1;
  }

  async get(channelId: string): Promise<ChannelTexts | null> {
    const text = await this.reads.run(this.keys.channel(channelId));
    if (text === null) return null;
    const [name, openingData, session] = text.split('\0');
    return [name!, openingData || null, session || null];
  }

  async locate(channelId: string): Promise<[nodeId: string | null] | null> {
    const channel = this.keys.channel(channelId);
    const found = await this.commands.command<(string | null)[]>('HMGET', channel, 'channelId', 'nodeId');
    return found[0] === null ? null : [found[1] ?? null];
  }

  async touch(channelIds: readonly string[]): Promise<void> {
    await this.runAll(['t'], channelIds);
  }

  list(after: string | undefined, limit: number, name: string | undefined): Promise<ListedPage> {
    const read = (bound: string, count: number) =>
      this.commands.run<ListedPage['channels']>(LIST_LUA, [this.keys.ids(0)], this.keys.before, bound, count);
    return listPage(read, after, limit, name);
  }

  async count(): Promise<number> {
    return Number(await this.commands.command('ZCARD', this.keys.ids(0)));
  }

  async removeStale(olderThanMs: number): Promise<string[]> {
    const removed: string[] = [];
    let bound = '-';
    for (;;) {
      const [some, last] = await this.removeOlder(olderThanMs, bound);
      removed.push(...some);
      if (last === null) return removed;
      bound = `(${last}`;
    }
  }

  findByUser(userId: string): Promise<string[]> {
    return this.commands.run(USER_LUA, [this.keys.user(userId)], this.keys.before, userId);
  }

  async tidy(): Promise<void> {
    const [, last] = await this.removeOlder('', this.tidied);
    this.tidied = last === null ? '-' : `(${last}`;
    await this.subscriptions.tidy();
  }

  async close(): Promise<void> {
    await Promise.all([this.writes.close(), this.reads.close(), this.subscriptions.close()]);
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
    return [this.keys.ids(0), this.keys.topics(0)];
  }

  private removeOlder(ms: number | '', bound: string): Promise<[removed: string[], last: string | null]> {
    return this.commands.run(STALE_LUA, this.indexes, this.keys.before, this.ttlMs, ms, bound, CHUNK);
  }

  /** In pieces, so that a long list neither blocks the server nor fills the queue. */
  private async runAll(args: string[], channelIds: readonly string[]): Promise<void> {
    if (channelIds.length === 1) {
      settled(await this.writes.run({ channelId: channelIds[0]!, args }));
      return;
    }
    for (let i = 0; i < channelIds.length; i += CHUNK) {
      const chunk = channelIds.slice(i, i + CHUNK);
      for (const result of await this.send(chunk.map((channelId) => ({ channelId, args })))) {
        settled(result);
      }
    }
  }

  private send(writes: readonly Write[]): Promise<unknown[]> {
    const keys = this.indexes;
    const args: string[] = [this.keys.before, String(this.ttlMs)];
    for (const write of writes) {
      keys.push(this.keys.channel(write.channelId));
      args.push(...write.args);
    }
    return this.commands.run(WRITE_CHANNELS_LUA, keys, ...args);
  }
}
