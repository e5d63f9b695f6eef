import type { Duration, JsonObject } from '@nestbox/core';

/** What {@link ChannelStore.addChannel} takes. */
export interface NewChannel<Opening extends JsonObject = JsonObject> {
  /** At most 512 bytes. */
  channelId: string;
  /** At most 512 bytes. */
  channelName: string;
  /** What the channel was opened with, such as query parameters. Default: `{}`. */
  openingData?: Opening;
  /**
   * The instance that holds the connection. The channel is removed when that one's lease ends. Default: none, so that
   * the channel stays until it is removed.
   */
  nodeId?: string;
}

/** Which channels are removed. */
export interface RemoveChannelsOptions {
  /** Only those that this instance holds: what another one has taken over stays. Default: all. */
  nodeId?: string;
}

/** A channel, and as whom it is connected. */
export interface ChannelAndSession<
  Opening extends JsonObject = JsonObject,
  Session extends JsonObject = JsonObject,
> {
  channelId: string;
  channelName: string;
  openingData: Opening;
  /** `null` until one is set. */
  session: Session | null;
}

/** A channel in a list. */
export interface ChannelSummary {
  channelId: string;
  channelName: string;
  /** `null` where no instance owns it. */
  nodeId: string | null;
  createdAt: Date;
  lastInteraction: Date;
}

/** Which channels are listed, and how many at a time. */
export interface ListChannelsOptions {
  /** Only channels of this name. */
  name?: string;
  /** From the page before. */
  cursor?: string;
  /** 1 to 1,000. Default: 100. */
  limit?: number;
}

/** A part of all channels. */
export interface ChannelPage {
  channels: ChannelSummary[];
  /** Absent on the last page. */
  cursor?: string;
}

/** An instance that holds connections. */
export interface ChannelNode {
  nodeId: string;
  /** How long its lease lasts from now, in ms, by the backend's clock; 0 or less when it has ended. */
  expiresInMs: number;
  channels: number;
}

/** What was removed of an instance whose lease had ended. */
export interface ReapedNode {
  nodeId: string;
  channelIds: string[];
}

/**
 * Where channels are kept, so that every instance finds them. Each backend implements it; all of them pass
 * `channelContract` of `@nestbox/testing/contracts`.
 *
 * Bad input is an InvalidArgumentError before any I/O, a failure of the backend a ChannelOperationError.
 */
export abstract class ChannelStore<
  Opening extends JsonObject = JsonObject,
  Session extends JsonObject = JsonObject,
> {
  /** Names the backend in health reports, such as `postgres`. */
  abstract readonly backend: string;

  /** Creates what the backend needs, or verifies that it can be reached. May be called twice; first uses call it. */
  abstract init(): Promise<void>;

  /** Closes what the store opened. May be called twice, and without `init`. */
  abstract close(): Promise<void>;

  /** How long a round trip takes, in ms. */
  abstract ping(): Promise<number>;

  /**
   * Adds a channel; other instances find it as soon as this resolves. The same id again replaces the name, the opening
   * data and the owner, and keeps the session and the subscriptions.
   *
   * @returns the instance that has held it until now; undefined when none has. Of several calls at once for one id, each is
   *   told of another one
   */
  abstract addChannel(channel: NewChannel<Opening>): Promise<string | undefined>;

  /** Removes channels with their subscriptions. Unknown ids are no error. */
  abstract removeChannels(channelIds: readonly string[], options?: RemoveChannelsOptions): Promise<void>;

  /** @throws ChannelNotFoundError */
  abstract setUserSession(channelId: string, session: Session | null): Promise<void>;

  /** @throws ChannelNotFoundError */
  abstract getChannelAndSession(channelId: string): Promise<ChannelAndSession<Opening, Session>>;

  /** Those that exist, by their ids. */
  abstract getChannels(
    channelIds: readonly string[],
  ): Promise<Map<string, ChannelAndSession<Opening, Session>>>;

  /** Notes that the channels are in use. Unknown ids are no error. */
  abstract touch(channelIds: readonly string[]): Promise<void>;

  /** Channels in the order of their ids' UTF-8 bytes where the backend has one, page by page. */
  abstract list(options?: ListChannelsOptions): Promise<ChannelPage>;

  abstract count(): Promise<number>;

  /**
   * Removes channels that were not touched for so long, whoever owns them.
   *
   * @returns their ids, each to one caller only
   */
  abstract removeStale(olderThan: Duration): Promise<string[]>;

  /** The ids of the channels whose session belongs to a user. */
  abstract findByUser(userId: string): Promise<string[]>;

  /** The owners of those channels that exist; `null` where there is none. */
  abstract locate(channelIds: readonly string[]): Promise<Map<string, string | null>>;

  /**
   * Registers an instance, or renews its lease, by the backend's clock.
   *
   * @returns true when it was registered all the time; false when it is new, or was reaped, so that its channels are gone
   */
  abstract heartbeat(nodeId: string, leaseMs: number): Promise<boolean>;

  /** Unregisters an instance and removes its channels. @returns their ids */
  abstract releaseNode(nodeId: string): Promise<string[]>;

  /** Removes the instances whose leases have ended, with their channels; each is given to one caller only. */
  abstract reap(): Promise<ReapedNode[]>;

  abstract nodes(): Promise<ChannelNode[]>;
}
