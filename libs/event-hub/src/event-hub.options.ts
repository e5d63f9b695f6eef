import type { AmbientTransactions, Backplane } from '@nestbox/channels';
import type { Duration } from '@nestbox/core';
import type { EventHubStore } from './event-hub.store.js';
import type { HubChannels } from './service/hub-channels.js';
import type { StandardSchemaV1 } from './standard-schema.js';

/** How much of a topic is kept for those who come back. */
export interface HistoryOptions {
  /** So many of the newest messages, 1 to 1,000,000. */
  size: number;
  /** No message for longer than this. */
  ttl: Duration;
}

/** What holds for a topic, or for all that match a pattern. */
export interface TopicOptions {
  /** Keep messages. Default: they are gone when they were sent. */
  history?: HistoryOptions;
  /** What the data must be. What it makes of the data is what is sent. */
  schema?: StandardSchemaV1;
}

/** What a hub takes whatever keeps its subscriptions. */
export interface HubSettings {
  /** By topic or pattern. A topic's own entry counts, else the first pattern that matches. */
  topics?: Readonly<Record<string, TopicOptions>>;
  /** The most bytes of a message's data, as JSON text or as they are. Default: 1 MiB. */
  maxPayload?: number;
  /** How often the subscriptions of this instance are compared with the store. Default: 60 s. */
  resyncInterval?: Duration;
}

/** What {@link EventHubService} is made of. */
export interface EventHubServiceOptions extends HubSettings {
  store: EventHubStore;
  /** Opened and closed by the hub. */
  backplane: Backplane;
  /** The ChannelService whose channels are subscribed. */
  channels: HubChannels;
  /** A database whose ambient transactions publishes wait for. Default: the one that the backplane is in. */
  transactions?: AmbientTransactions;
  /** Whether the store loses subscriptions by itself when channels are removed. Default: false. */
  cascades?: boolean;
  /** Whether `close` closes the store and the backplane. Default: true. */
  closeStore?: boolean;
  /** Tells hubs on one ChannelService apart. Default: `hub`. */
  name?: string;
}
