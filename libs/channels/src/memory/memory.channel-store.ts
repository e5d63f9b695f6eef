import {
  ClosedError,
  assertName,
  compareUtf8,
  parseDuration,
  type Duration,
  type JsonObject,
} from '@nestbox/core';
import { ChannelNotFoundError } from '../channel.errors.js';
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

/** Options of channels in memory. */
export interface MemoryChannelStoreOptions {
  /** The property of a session that says whose it is: a string or a number. Default: `'userId'`. */
  userKey?: string;
}

interface Entry {
  channelName: string;
  /** As JSON, so that nobody changes what is kept. */
  openingData: string;
  session: string | null;
  userId: string | null;
  nodeId: string | null;
  createdAt: number;
  lastInteraction: number;
}

/** Channels in this process, lost with it: for tests, and for applications of one instance. */
export class MemoryChannelStore<
  Opening extends JsonObject = JsonObject,
  Session extends JsonObject = JsonObject,
> extends ChannelStore<Opening, Session> {
  readonly backend = 'memory';
  private readonly userKey: string;
  private readonly channels = new Map<string, Entry>();
  /** When the lease of a node ends, by the monotonic clock. */
  private readonly leases = new Map<string, number>();
  private readonly listeners = new Set<(channelIds: readonly string[]) => void>();
  private isClosed = false;

  /** @throws InvalidArgumentError */
  constructor({ userKey = 'userId' }: MemoryChannelStoreOptions = {}) {
    super();
    assertName(userKey, 'options.userKey');
    this.userKey = userKey;
  }

  async init(): Promise<void> {
    this.assertOpen();
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  async ping(): Promise<number> {
    this.assertOpen();
    return 0;
  }

  /** Whether there is such a channel. */
  has(channelId: string): boolean {
    return this.channels.has(channelId);
  }

  /** Calls a function with the ids of channels that were removed, before the call that removed them resolves. */
  onRemoved(listener: (channelIds: readonly string[]) => void): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }

  async addChannel(channel: NewChannel<Opening>): Promise<string | undefined> {
    const { channelId, channelName, openingData, nodeId = null } = checkChannel(channel);
    this.assertOpen();
    const known = this.channels.get(channelId);
    const now = Date.now();
    this.channels.set(channelId, {
      channelName,
      openingData,
      nodeId,
      session: known?.session ?? null,
      userId: known?.userId ?? null,
      createdAt: known?.createdAt ?? now,
      lastInteraction: now,
    });
    return known?.nodeId ?? undefined;
  }

  async removeChannels(channelIds: readonly string[], options: RemoveChannelsOptions = {}): Promise<void> {
    const ids = distinctIds(channelIds);
    const nodeId = ownerOf(options);
    this.assertOpen();
    this.remove(nodeId === undefined ? ids : ids.filter((id) => this.channels.get(id)?.nodeId === nodeId));
  }

  async setUserSession(channelId: string, session: Session | null): Promise<void> {
    assertName(channelId, 'channelId');
    const json = session === null ? null : encodeObject(session, 'session');
    const userId = session === null ? null : userOf(session, this.userKey);
    this.assertOpen();
    const entry = this.channels.get(channelId);
    if (entry === undefined) throw new ChannelNotFoundError(channelId);
    Object.assign(entry, { session: json, userId, lastInteraction: Date.now() });
  }

  async getChannelAndSession(channelId: string): Promise<ChannelAndSession<Opening, Session>> {
    assertName(channelId, 'channelId');
    this.assertOpen();
    const entry = this.channels.get(channelId);
    if (entry === undefined) throw new ChannelNotFoundError(channelId);
    return this.parse(channelId, entry);
  }

  async getChannels(
    channelIds: readonly string[],
  ): Promise<Map<string, ChannelAndSession<Opening, Session>>> {
    const ids = distinctIds(channelIds);
    this.assertOpen();
    const found = new Map<string, ChannelAndSession<Opening, Session>>();
    for (const id of ids) {
      const entry = this.channels.get(id);
      if (entry !== undefined) found.set(id, this.parse(id, entry));
    }
    return found;
  }

  async touch(channelIds: readonly string[]): Promise<void> {
    const ids = distinctIds(channelIds);
    this.assertOpen();
    for (const id of ids) {
      const entry = this.channels.get(id);
      if (entry !== undefined) entry.lastInteraction = Date.now();
    }
  }

  async list(options: ListChannelsOptions = {}): Promise<ChannelPage> {
    const { name, after, limit } = checkList(options);
    this.assertOpen();
    const ids = [...this.channels]
      .filter(
        ([id, { channelName }]) =>
          (name === undefined || channelName === name) && (after === undefined || compareUtf8(id, after) > 0),
      )
      .map(([id]) => id)
      .sort(compareUtf8);
    const page = ids.slice(0, limit);
    return {
      channels: page.map((channelId) => {
        const { channelName, nodeId, createdAt, lastInteraction } = this.channels.get(channelId)!;
        return {
          channelId,
          channelName,
          nodeId,
          createdAt: new Date(createdAt),
          lastInteraction: new Date(lastInteraction),
        };
      }),
      ...(ids.length > limit && { cursor: cursorOf(page.at(-1)!) }),
    };
  }

  async count(): Promise<number> {
    this.assertOpen();
    return this.channels.size;
  }

  async removeStale(olderThan: Duration): Promise<string[]> {
    const before = Date.now() - parseDuration(olderThan, 'olderThan');
    this.assertOpen();
    return this.remove(this.idsOf(({ lastInteraction }) => lastInteraction <= before));
  }

  async findByUser(userId: string): Promise<string[]> {
    assertName(userId, 'userId');
    this.assertOpen();
    return this.idsOf((entry) => entry.userId === userId);
  }

  async locate(channelIds: readonly string[]): Promise<Map<string, string | null>> {
    const ids = distinctIds(channelIds);
    this.assertOpen();
    return new Map(
      ids.flatMap((id): [string, string | null][] => {
        const entry = this.channels.get(id);
        return entry === undefined ? [] : [[id, entry.nodeId]];
      }),
    );
  }

  async heartbeat(nodeId: string, leaseMs: number): Promise<boolean> {
    assertName(nodeId, 'nodeId');
    assertLease(leaseMs);
    this.assertOpen();
    const isKnown = this.leases.has(nodeId);
    this.leases.set(nodeId, performance.now() + leaseMs);
    return isKnown;
  }

  async releaseNode(nodeId: string): Promise<string[]> {
    assertName(nodeId, 'nodeId');
    this.assertOpen();
    this.leases.delete(nodeId);
    return this.remove(this.idsOf((entry) => entry.nodeId === nodeId));
  }

  async reap(): Promise<ReapedNode[]> {
    this.assertOpen();
    const now = performance.now();
    const ended = [...this.leases].filter(([, endsAt]) => endsAt <= now).map(([nodeId]) => nodeId);
    return ended.map((nodeId) => {
      this.leases.delete(nodeId);
      return { nodeId, channelIds: this.remove(this.idsOf((entry) => entry.nodeId === nodeId)) };
    });
  }

  async nodes(): Promise<ChannelNode[]> {
    this.assertOpen();
    return Array.from(this.leases, ([nodeId, endsAt]) => ({
      nodeId,
      expiresInMs: Math.round(endsAt - performance.now()),
      channels: this.idsOf((entry) => entry.nodeId === nodeId).length,
    }));
  }

  private remove(ids: readonly string[]): string[] {
    const removed = ids.filter((id) => this.channels.delete(id));
    if (removed.length > 0) for (const listener of this.listeners) listener(removed);
    return removed;
  }

  private idsOf(isWanted: (entry: Entry) => boolean): string[] {
    return [...this.channels].filter(([, entry]) => isWanted(entry)).map(([id]) => id);
  }

  private parse(
    channelId: string,
    { channelName, openingData, session }: Entry,
  ): ChannelAndSession<Opening, Session> {
    return {
      channelId,
      channelName,
      openingData: JSON.parse(openingData) as Opening,
      session: session === null ? null : (JSON.parse(session) as Session),
    };
  }

  private assertOpen(): void {
    if (this.isClosed) throw new ClosedError('MemoryChannelStore');
  }
}
