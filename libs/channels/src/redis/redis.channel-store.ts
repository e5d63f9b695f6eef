import {
  ClosedError,
  InvalidArgumentError,
  Lifecycle,
  OverloadedError,
  assertName,
  parseDuration,
  type Duration,
  type JsonObject,
} from '@nestbox/core';
import type { RedisSource } from '@nestbox/redis';
import { ChannelNotFoundError, ChannelOperationError } from '../channel.errors.js';
import {
  ChannelStore,
  type ChannelAndSession,
  type ChannelNode,
  type ChannelPage,
  type ListChannelsOptions,
  type NewChannel,
  type ReapedNode,
  type RemoveChannelsOptions,
} from '../channel.store.js';
import {
  assertLease,
  checkChannel,
  checkList,
  cursorOf,
  distinctIds,
  encodeObject,
  ownerOf,
  userOf,
} from '../support/arguments.js';
import type { ChannelBackend, ChannelTexts } from './channel-backend.js';
import { ClusterChannels } from './cluster-channels.js';
import { RedisChannelKeys } from './redis-channel-keys.js';
import { RedisCommands } from './redis-commands.js';
import { settingsOf, type RedisChannelSettings, type RedisChannelStoreOptions } from './redis-options.js';
import { ServerChannels } from './server-channels.js';
import { ClusterSubscriptions } from './subscriptions/cluster-subscriptions.js';
import { ServerSubscriptions } from './subscriptions/server-subscriptions.js';

/** Channels that are read at once for one call. */
const CHUNK = 500;

/**
 * Channels in Redis. On one server every operation on a channel is atomic; on a cluster it is a row of steps that may
 * be done again, and what a crash between them leaves behind goes by `reap`, `removeStale` or its time to live.
 *
 * A channel lives for `ttl` after it was added, touched or given a session, so whoever holds connections for longer
 * touches them.
 */
export class RedisChannelStore<
  Opening extends JsonObject = JsonObject,
  Session extends JsonObject = JsonObject,
> extends ChannelStore<Opening, Session> {
  readonly backend = 'redis';

  private readonly commands: RedisCommands;
  private readonly settings: RedisChannelSettings;
  private readonly channels: ChannelBackend;
  private readonly lifecycle: Lifecycle;

  /**
   * @param connection a URL, options, a client of ioredis, or a `Redis` of `@nestbox/redis`; the last two stay open
   * @param keyPrefix what all keys begin with, before a colon
   * @throws InvalidArgumentError
   */
  constructor(connection: RedisSource, keyPrefix = 'pikku', options: RedisChannelStoreOptions = {}) {
    super();
    this.settings = settingsOf(options);
    assertName(keyPrefix, 'keyPrefix');
    const commands = new RedisCommands(connection);
    this.commands = commands;
    const { ttlMs } = this.settings;
    const keys = new RedisChannelKeys(keyPrefix, commands.isCluster);
    this.channels = commands.isCluster
      ? new ClusterChannels(commands, keys, ttlMs, new ClusterSubscriptions(commands, keys, ttlMs))
      : new ServerChannels(commands, keys, ttlMs, new ServerSubscriptions(commands, keys, ttlMs));
    this.lifecycle = new Lifecycle(
      'RedisChannelStore',
      () => commands.connect(),
      async () => {
        await this.channels.close();
        await commands.close();
      },
    );
  }

  async init(): Promise<void> {
    await this.run('connect to Redis', () => Promise.resolve());
  }

  close(): Promise<void> {
    return this.lifecycle.close();
  }

  ping(): Promise<number> {
    return this.run('ping Redis', () => this.commands.ping());
  }

  async addChannel(channel: NewChannel<Opening>): Promise<string | undefined> {
    const record = checkChannel(channel);
    const { channelId } = record;
    const owner = await this.run(`add channel "${channelId}"`, () => this.channels.add(record), channelId);
    return owner ?? undefined;
  }

  async removeChannels(channelIds: readonly string[], options: RemoveChannelsOptions = {}): Promise<void> {
    const ids = distinctIds(channelIds);
    const nodeId = ownerOf(options);
    await this.run(`remove ${countOf(ids)}`, () => this.channels.remove(ids, nodeId));
  }

  async setUserSession(channelId: string, session: Session | null): Promise<void> {
    assertName(channelId, 'channelId');
    const json = session === null ? null : encodeObject(session, 'session');
    const user = session === null ? null : userOf(session, this.settings.userKey);
    const found = await this.run(
      `set the session of channel "${channelId}"`,
      () => this.channels.setSession(channelId, json, user),
      channelId,
    );
    if (!found) throw new ChannelNotFoundError(channelId);
  }

  async getChannelAndSession(channelId: string): Promise<ChannelAndSession<Opening, Session>> {
    assertName(channelId, 'channelId');
    const found = await this.run(
      `get channel "${channelId}"`,
      async () => {
        const texts = await this.channels.get(channelId);
        return texts && this.parse(channelId, texts);
      },
      channelId,
    );
    if (found === null) throw new ChannelNotFoundError(channelId);
    return found;
  }

  async getChannels(
    channelIds: readonly string[],
  ): Promise<Map<string, ChannelAndSession<Opening, Session>>> {
    const ids = distinctIds(channelIds);
    const found = new Map<string, ChannelAndSession<Opening, Session>>();
    await this.run(`get ${countOf(ids)}`, () =>
      this.readAll(
        ids,
        (id) => this.channels.get(id),
        (id, texts) => found.set(id, this.parse(id, texts)),
      ),
    );
    return found;
  }

  async touch(channelIds: readonly string[]): Promise<void> {
    const ids = distinctIds(channelIds);
    await this.run(`touch ${countOf(ids)}`, () => this.channels.touch(ids));
  }

  async list(options: ListChannelsOptions = {}): Promise<ChannelPage> {
    const { name, after, limit } = checkList(options);
    const page = await this.run('list channels', () => this.channels.list(after, limit, name));
    return {
      channels: page.channels.map(([channelId, channelName, nodeId, createdAt, lastInteraction]) => ({
        channelId,
        channelName,
        nodeId,
        createdAt: new Date(Number(createdAt)),
        lastInteraction: new Date(Number(lastInteraction)),
      })),
      ...(page.after !== undefined && { cursor: cursorOf(page.after) }),
    };
  }

  count(): Promise<number> {
    return this.run('count channels', () => this.channels.count());
  }

  async removeStale(olderThan: Duration): Promise<string[]> {
    const ms = parseDuration(olderThan, 'olderThan');
    const removed = await this.run('remove stale channels', () => this.channels.removeStale(ms));
    await this.tidy();
    return removed;
  }

  async findByUser(userId: string): Promise<string[]> {
    assertName(userId, 'userId');
    return this.run(`find the channels of user "${userId}"`, () => this.channels.findByUser(userId));
  }

  async locate(channelIds: readonly string[]): Promise<Map<string, string | null>> {
    const ids = distinctIds(channelIds);
    const owners = new Map<string, string | null>();
    await this.run(`locate ${countOf(ids)}`, () =>
      this.readAll(
        ids,
        (id) => this.channels.locate(id),
        (id, [nodeId]) => owners.set(id, nodeId),
      ),
    );
    return owners;
  }

  async heartbeat(nodeId: string, leaseMs: number): Promise<boolean> {
    assertName(nodeId, 'nodeId');
    assertLease(leaseMs);
    return this.run(`renew the lease of node "${nodeId}"`, () => this.channels.heartbeat(nodeId, leaseMs));
  }

  async releaseNode(nodeId: string): Promise<string[]> {
    assertName(nodeId, 'nodeId');
    return this.run(`release node "${nodeId}"`, () => this.channels.releaseNode(nodeId));
  }

  async reap(): Promise<ReapedNode[]> {
    const reaped = await this.run('remove the channels of dead nodes', () => this.channels.reap());
    await this.tidy();
    return reaped;
  }

  nodes(): Promise<ChannelNode[]> {
    return this.run('list nodes', () => this.channels.nodes());
  }

  private async tidy(): Promise<void> {
    try {
      await this.channels.tidy();
    } catch {
      // The next call goes on with it. What the caller is owed must not be lost for it.
    }
  }

  private parse(
    channelId: string,
    [channelName, openingData, session]: ChannelTexts,
  ): ChannelAndSession<Opening, Session> {
    return {
      channelId,
      channelName,
      openingData: JSON.parse(openingData ?? '{}') as Opening,
      session: session === null ? null : (JSON.parse(session) as Session),
    };
  }

  private async readAll<T>(
    ids: readonly string[],
    read: (id: string) => Promise<T | null>,
    onFound: (id: string, found: T) => void,
  ): Promise<void> {
    for (let i = 0; i < ids.length; i += CHUNK) {
      const chunk = ids.slice(i, i + CHUNK);
      const results = await Promise.all(chunk.map(read));
      chunk.forEach((id, at) => {
        const result = results[at];
        if (result !== null && result !== undefined) onFound(id, result);
      });
    }
  }

  private async run<R>(operation: string, fn: () => Promise<R>, channelId?: string): Promise<R> {
    try {
      const opening = this.lifecycle.ready();
      if (opening) await opening;
      return await fn();
    } catch (error) {
      if (error instanceof ClosedError || error instanceof OverloadedError) throw error;
      if (error instanceof InvalidArgumentError) throw error;
      throw new ChannelOperationError(operation, error, channelId);
    }
  }
}

function countOf(ids: readonly string[]): string {
  return ids.length === 1 ? `channel "${ids[0]}"` : `${ids.length} channels`;
}
