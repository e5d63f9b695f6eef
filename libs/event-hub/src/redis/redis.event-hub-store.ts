import { redisSubscriptions, type OpenSubscriptions, type RedisSubscriptions } from '@nestbox/channels';
import {
  ClosedError,
  InvalidArgumentError,
  Lifecycle,
  OverloadedError,
  assertName,
  parseDuration,
  type Duration,
} from '@nestbox/core';
import type { RedisSource } from '@nestbox/redis';
import { EventHubOperationError } from '../event-hub.errors.js';
import { EventHubStore, type ListTopicsOptions, type TopicOf, type TopicPage } from '../event-hub.store.js';
import { checkList, cursorOf, distinctIds } from '../support/arguments.js';

/** Options of an event hub on Redis. */
export interface RedisEventHubStoreOptions {
  /**
   * When the subscriptions of a channel that never was, or that a crash left behind, go by themselves. Those of others
   * are kept as long as the channel is in use. Give it the `ttl` of the channel store. Default: `'1d'`.
   */
  ttl?: Duration;
}

/** Channels whose topics are read at once for one call. */
const CHUNK = 500;

/**
 * Subscriptions in Redis, beside the channels of a `RedisChannelStore` with the same prefix. Redis does not know which
 * channels there are, so any can be subscribed.
 *
 * On one server every operation is atomic; on a cluster it is a row of steps that may be done again. Subscriptions
 * that only one side knows of are taken out by the `reap` and `removeStale` of the channel store.
 */
export class RedisEventHubStore<
  Topics extends object = Record<string, unknown>,
> extends EventHubStore<Topics> {
  readonly backend = 'redis';

  private readonly connection: OpenSubscriptions;
  private readonly subscriptions: RedisSubscriptions;
  private readonly lifecycle: Lifecycle;

  /**
   * @param connection a URL, options, a client of ioredis, or a `Redis` of `@nestbox/redis`; the last two stay open
   * @param keyPrefix what all keys begin with, before a colon
   * @throws InvalidArgumentError
   */
  constructor(connection: RedisSource, keyPrefix = 'pikku', options: RedisEventHubStoreOptions = {}) {
    super();
    if (typeof options !== 'object' || options === null) {
      throw new InvalidArgumentError('options', 'must be an object such as { ttl: "1d" }.');
    }
    const ttlMs = parseDuration(options.ttl ?? '1d', 'options.ttl');
    const open = redisSubscriptions(connection, keyPrefix, ttlMs);
    this.connection = open;
    this.subscriptions = open.subscriptions;
    this.lifecycle = new Lifecycle(
      'RedisEventHubStore',
      () => open.connect(),
      () => open.close(),
    );
  }

  async init(): Promise<void> {
    await this.run('connect to Redis', () => Promise.resolve());
  }

  close(): Promise<void> {
    return this.lifecycle.close();
  }

  ping(): Promise<number> {
    return this.run('ping Redis', () => this.connection.ping());
  }

  async getChannelIdsForTopic(topic: TopicOf<Topics>): Promise<string[]> {
    assertName(topic, 'topic');
    return this.run(
      `get the channels of topic "${topic}"`,
      () => this.subscriptions.channelsOf(topic),
      topic,
    );
  }

  async subscribe(topic: TopicOf<Topics>, channelId: string): Promise<boolean> {
    assertName(topic, 'topic');
    assertName(channelId, 'channelId');
    await this.run(
      `subscribe channel "${channelId}" to topic "${topic}"`,
      () => this.subscriptions.join(topic, channelId),
      topic,
    );
    return true;
  }

  async unsubscribe(topic: TopicOf<Topics>, channelId: string): Promise<boolean> {
    assertName(topic, 'topic');
    assertName(channelId, 'channelId');
    return this.run(
      `unsubscribe channel "${channelId}" from topic "${topic}"`,
      () => this.subscriptions.leave(topic, channelId),
      topic,
    );
  }

  async unsubscribeAll(channelId: string): Promise<void> {
    assertName(channelId, 'channelId');
    await this.run(`unsubscribe channel "${channelId}"`, () => this.subscriptions.leaveAll(channelId));
  }

  async getTopicsForChannel(channelId: string): Promise<TopicOf<Topics>[]> {
    assertName(channelId, 'channelId');
    const topics = await this.run(`get the topics of channel "${channelId}"`, () =>
      this.subscriptions.topicsOf(channelId),
    );
    return topics as TopicOf<Topics>[];
  }

  async getTopicsForChannels(channelIds: readonly string[]): Promise<Map<string, TopicOf<Topics>[]>> {
    const ids = distinctIds(channelIds);
    const found = new Map<string, TopicOf<Topics>[]>();
    await this.run(`get the topics of ${ids.length} channels`, async () => {
      for (let i = 0; i < ids.length; i += CHUNK) {
        const chunk = ids.slice(i, i + CHUNK);
        const topics = await Promise.all(chunk.map((id) => this.subscriptions.topicsOf(id)));
        chunk.forEach((id, at) => {
          if (topics[at]!.length > 0) found.set(id, topics[at] as TopicOf<Topics>[]);
        });
      }
    });
    return found;
  }

  async listTopics(options: ListTopicsOptions = {}): Promise<TopicPage> {
    const range = checkList(options);
    const { topics, after } = await this.run('list topics', () => this.subscriptions.list(range));
    return { topics, ...(after !== undefined && { cursor: cursorOf(after) }) };
  }

  async countForTopic(topic: TopicOf<Topics>): Promise<number> {
    assertName(topic, 'topic');
    return this.run(`count the channels of topic "${topic}"`, () => this.subscriptions.count(topic), topic);
  }

  private async run<R>(operation: string, fn: () => Promise<R>, topic?: string): Promise<R> {
    try {
      const opening = this.lifecycle.ready();
      if (opening) await opening;
      return await fn();
    } catch (error) {
      if (error instanceof ClosedError || error instanceof OverloadedError) throw error;
      if (error instanceof InvalidArgumentError) throw error;
      throw new EventHubOperationError(operation, error, topic);
    }
  }
}
