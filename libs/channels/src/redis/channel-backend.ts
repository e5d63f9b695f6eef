import type { ChannelNode, ReapedNode } from '../channel.store.js';

/** A channel to add, checked. */
export interface ChannelRecord {
  channelId: string;
  channelName: string;
  /** JSON. */
  openingData: string;
  nodeId: string | undefined;
}

/** The name, the JSON of the opening data, and that of the session. */
export type ChannelTexts = [name: string, openingData: string | null, session: string | null];

/** The id, the name, the owner, and two times in ms. */
export type ListedChannel = [
  channelId: string,
  name: string,
  nodeId: string | null,
  createdAt: string,
  lastInteraction: string,
];

/** Some channels in the order of their ids, and where to go on when there may be more. */
export interface ListedPage {
  channels: ListedChannel[];
  after: string | undefined;
}

/** What a store does with checked arguments, on one server or on a cluster. */
export interface ChannelBackend {
  /** @returns the owner until now */
  add(channel: ChannelRecord): Promise<string | null>;
  /** @param nodeId only those that belong to this instance */
  remove(channelIds: readonly string[], nodeId?: string): Promise<void>;
  /** @param session JSON @returns false when there is no such channel */
  setSession(channelId: string, session: string | null, userId: string | null): Promise<boolean>;
  get(channelId: string): Promise<ChannelTexts | null>;
  /** The owner in a list, null where there is no such channel. */
  locate(channelId: string): Promise<[nodeId: string | null] | null>;
  touch(channelIds: readonly string[]): Promise<void>;
  list(after: string | undefined, limit: number, name: string | undefined): Promise<ListedPage>;
  count(): Promise<number>;
  removeStale(olderThanMs: number): Promise<string[]>;
  findByUser(userId: string): Promise<string[]>;
  heartbeat(nodeId: string, leaseMs: number): Promise<boolean>;
  releaseNode(nodeId: string): Promise<string[]>;
  reap(): Promise<ReapedNode[]>;
  nodes(): Promise<ChannelNode[]>;
  /** Takes out what expired or was left by a crash, some of it per call. */
  tidy(): Promise<void>;
  /** Resolves when all calls have been settled. */
  close(): Promise<void>;
}
