/** Which topics are listed, and how many at a time. */
export interface ListTopicsOptions {
  /** Only topics that begin with it. */
  prefix?: string;
  /** From the page before. */
  cursor?: string;
  /** 1 to 1,000. Default: 100. */
  limit?: number;
}

/** A part of all topics. */
export interface TopicPage {
  topics: string[];
  /** Absent on the last page. */
  cursor?: string;
}

/** The names of the topics: the keys of `Topics`; any where it has none, as where Nest gives an untyped hub. */
export type TopicOf<Topics> = [keyof Topics] extends [never] ? string : keyof Topics & string;

/** The data of a topic. */
export type DataOf<Topics, Topic> = Topic extends keyof Topics ? Topics[Topic] : unknown;

/**
 * Which channels are subscribed to which topics. Each backend implements it; all of them pass `eventHubContract` of
 * `@nestbox/testing/contracts`.
 *
 * Names have at most 512 bytes and may hold anything but NUL and lone surrogates. Bad input is an InvalidArgumentError
 * before any I/O, a failure of the backend an EventHubOperationError.
 */
export abstract class EventHubStore<Topics extends object = Record<string, unknown>> {
  /** Names the backend in health reports, such as `postgres`. */
  abstract readonly backend: string;

  /** Creates what the backend needs, or verifies that it can be reached. May be called twice; first uses call it. */
  abstract init(): Promise<void>;

  /** Closes what the store opened. May be called twice, and without `init`. */
  abstract close(): Promise<void>;

  /** How long a round trip takes, in ms. */
  abstract ping(): Promise<number>;

  /** In no order; empty when nobody is subscribed. */
  abstract getChannelIdsForTopic(topic: TopicOf<Topics>): Promise<string[]>;

  /**
   * @returns true, also when it was subscribed already; false where the backend knows that there is no such channel
   *   (PostgreSQL)
   */
  abstract subscribe(topic: TopicOf<Topics>, channelId: string): Promise<boolean>;

  /** @returns false when it was not subscribed */
  abstract unsubscribe(topic: TopicOf<Topics>, channelId: string): Promise<boolean>;

  /** Ends all subscriptions of a channel. An unknown one is no error. */
  abstract unsubscribeAll(channelId: string): Promise<void>;

  /** In no order. */
  abstract getTopicsForChannel(channelId: string): Promise<TopicOf<Topics>[]>;

  /** The topics of those channels that have any. */
  abstract getTopicsForChannels(channelIds: readonly string[]): Promise<Map<string, TopicOf<Topics>[]>>;

  /** Topics that somebody is subscribed to, in the order of their UTF-8 bytes where the backend has one. */
  abstract listTopics(options?: ListTopicsOptions): Promise<TopicPage>;

  abstract countForTopic(topic: TopicOf<Topics>): Promise<number>;
}
