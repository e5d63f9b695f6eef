import type { Position } from '@nestbox/channels';
import type { JsonObject } from '@nestbox/core';
import type { HistoryOptions } from './event-hub.options.js';
import type { DataOf, TopicOf } from './event-hub.store.js';
import type { HubMessage, HubMessageContext } from './service/hub-message.js';

/** How a message is published. */
export interface PublishOptions {
  /** Ids of channels that shall not get it, on whichever instance they are, such as the one that it came from. */
  except?: string | readonly string[];
  /** Send bytes: `data` is a Uint8Array then. Default: false. */
  binary?: boolean;
  /**
   * Keep it in the topic's history: `true` as the topic's options say (100 messages for an hour where they say nothing).
   * Default: whatever the topic's options say.
   */
  history?: boolean | HistoryOptions;
}

/** What became of a message that was published. */
export interface PublishResult {
  /** Where the message stands in the topic's history, where it is kept. */
  offset?: number;
  /** Of the topic's history, where the message is kept. */
  epoch?: string;
  /** How many channels of this instance it is for. */
  local: number;
}

/** From where on a channel gets the messages of a topic. */
export interface SubscribeOptions {
  /** The last message that the client has got. Default: it begins with what comes next. */
  since?: Position;
}

/** What a channel missed, and whether that is all. */
export interface SubscribeResult<Data = unknown> {
  /** True when it is certain that `missed` holds all that was published since `since`. */
  recovered: boolean;
  /** What was sent to the channel before anything newer, oldest first. */
  missed: HubMessage<Data>[];
  /**
   * Where the topic's history stands; absent where it has none, and inside a transaction for a channel of another
   * instance.
   */
  position?: Position;
}

/** Which messages of a topic's history are read. */
export interface HistoryQuery {
  /** Only messages after it. Default: all that are kept. */
  since?: Position;
  /** At most so many: the newest ones, or with `since` the oldest. 1 to 1,000. Default: 100. */
  limit?: number;
}

/** A channel that is subscribed to a topic. */
export interface PresentChannel<Session extends JsonObject = JsonObject> {
  channelId: string;
  channelName: string;
  session: Session | null;
}

/** What `on` takes: a topic, or a pattern that stands for many. */
export type TopicPattern<Topics extends object> = TopicOf<Topics> | `${string}*${string}`;

/** The data that a handler gets: that of the topic, or unknown for a pattern. */
export type DataFor<Topics extends object, Pattern extends string> = Pattern extends `${string}*${string}`
  ? unknown
  : Pattern extends TopicOf<Topics>
    ? DataOf<Topics, Pattern>
    : unknown;

/** What is called with the messages of the topics that a pattern matches. */
export type HubHandler<Topics extends object, Pattern extends string> = (
  data: DataFor<Topics, Pattern>,
  context: HubMessageContext,
) => unknown;
