import { channelMigrations } from '@nestbox/channels';
import {
  ClosedError,
  Coalescer,
  InvalidArgumentError,
  Lifecycle,
  OverloadedError,
  assertName,
} from '@nestbox/core';
import { isDataError, postgresOf, type Postgres, type PostgresSource } from '@nestbox/postgres';
import { EventHubOperationError } from '../event-hub.errors.js';
import { EventHubStore, type ListTopicsOptions, type TopicOf, type TopicPage } from '../event-hub.store.js';
import { checkList, cursorOf, distinctIds } from '../support/arguments.js';
import { eventHubMigrations } from './event-hub-schema.js';
import { SubscriptionTable, type Subscription } from './subscription-table.js';

/** Options of an event hub on PostgreSQL. */
export interface PgEventHubStoreOptions {
  /** Whether to create and upgrade the tables; else they are checked. Default: true. */
  migrate?: boolean;
}

/** Channels looked up in one statement. */
const BATCH = 1000;

/**
 * Subscriptions in a table of PostgreSQL, beside the channels. Inside an ambient transaction every call is a part of it.
 */
export class PgEventHubStore<Topics extends object = Record<string, unknown>> extends EventHubStore<Topics> {
  readonly backend = 'postgres';
  private readonly postgres: Postgres;
  private readonly table: SubscriptionTable;
  private readonly lifecycle: Lifecycle;
  private readonly subscriptions: Coalescer<Subscription & { wanted: boolean }, boolean>;
  private readonly lookups: Coalescer<string, string[]>;

  /**
   * @param sql a postgres.js client or a `Postgres`, which stay open; or a URL or options
   * @param schemaName that of the PgChannelStore
   * @throws InvalidArgumentError
   */
  constructor(
    sql: PostgresSource,
    schemaName = 'serverless',
    { migrate = true }: PgEventHubStoreOptions = {},
  ) {
    super();
    const { postgres, owned } = postgresOf(sql);
    const options = { schema: schemaName };
    const migrations = [channelMigrations(postgres, options), eventHubMigrations(postgres, options)];
    const name = `${schemaName}.lambda_channel_subscriptions`;
    this.postgres = postgres;
    this.table = new SubscriptionTable(postgres, schemaName);
    this.subscriptions = new Coalescer({
      name: `The writes of ${name}`,
      flush: (items) => this.change(items),
      key: ({ channelId, topic }) => `${channelId}\0${topic}`,
      isDataError,
    });
    this.lookups = new Coalescer({
      name: `The reads of ${name}`,
      flush: (topics) => this.lookUp(topics),
      isDataError,
      // Each may have thousands of channels.
      maxItems: 100,
    });
    this.lifecycle = new Lifecycle(
      'PgEventHubStore',
      async () => {
        for (const one of migrations) await (migrate ? one.run() : one.check());
      },
      async () => {
        await Promise.all([this.subscriptions.close(), this.lookups.close()]);
        if (owned) await postgres.close();
      },
    );
  }

  async init(): Promise<void> {
    await this.lifecycle.ready();
  }

  close(): Promise<void> {
    return this.lifecycle.close();
  }

  ping(): Promise<number> {
    return this.run('ping PostgreSQL', () => this.postgres.ping());
  }

  async getChannelIdsForTopic(topic: TopicOf<Topics>): Promise<string[]> {
    assertName(topic, 'topic');
    return this.run(
      `look up the channels of topic "${topic}"`,
      async () =>
        this.postgres.currentTransaction === undefined
          ? this.lookups.run(topic)
          : (await this.lookUp([topic]))[0]!,
      topic,
    );
  }

  async subscribe(topic: TopicOf<Topics>, channelId: string): Promise<boolean> {
    assertName(topic, 'topic');
    assertName(channelId, 'channelId');
    return this.run(
      `subscribe channel "${channelId}" to topic "${topic}"`,
      () => this.set({ channelId, topic, wanted: true }),
      topic,
    );
  }

  async unsubscribe(topic: TopicOf<Topics>, channelId: string): Promise<boolean> {
    assertName(topic, 'topic');
    assertName(channelId, 'channelId');
    return this.run(
      `unsubscribe channel "${channelId}" from topic "${topic}"`,
      () => this.set({ channelId, topic, wanted: false }),
      topic,
    );
  }

  async unsubscribeAll(channelId: string): Promise<void> {
    assertName(channelId, 'channelId');
    await this.run(`end the subscriptions of channel "${channelId}"`, () =>
      this.table.unsubscribeAll(channelId),
    );
  }

  async getTopicsForChannel(channelId: string): Promise<TopicOf<Topics>[]> {
    assertName(channelId, 'channelId');
    const found = await this.topicsOf([channelId], `get the topics of channel "${channelId}"`);
    return found.get(channelId) ?? [];
  }

  async getTopicsForChannels(channelIds: readonly string[]): Promise<Map<string, TopicOf<Topics>[]>> {
    const ids = distinctIds(channelIds);
    return this.topicsOf(ids, `get the topics of ${ids.length} channels`);
  }

  async listTopics(options: ListTopicsOptions = {}): Promise<TopicPage> {
    const { prefix, after, limit } = checkList(options);
    const found = await this.run('list topics', () => this.table.list(prefix, after, limit + 1));
    const topics = found.slice(0, limit);
    return { topics, ...(found.length > limit && { cursor: cursorOf(topics.at(-1)!) }) };
  }

  async countForTopic(topic: TopicOf<Topics>): Promise<number> {
    assertName(topic, 'topic');
    return this.run(`count the channels of topic "${topic}"`, () => this.table.count(topic), topic);
  }

  /** Goes with those of other callers; inside a transaction by itself. */
  private async set(change: Subscription & { wanted: boolean }): Promise<boolean> {
    if (this.postgres.currentTransaction === undefined) return this.subscriptions.run(change);
    const [done] = await this.change([change]);
    return done!;
  }

  /** No subscription is there twice, so it does not matter which go first. */
  private async change(changes: readonly (Subscription & { wanted: boolean })[]): Promise<boolean[]> {
    const wanted = changes.filter((change) => change.wanted);
    const unwanted = changes.filter((change) => !change.wanted);
    const subscribed = wanted.length > 0 ? await this.table.subscribe(wanted) : [];
    const ended = unwanted.length > 0 ? await this.table.unsubscribe(unwanted) : [];
    let i = 0;
    let j = 0;
    return changes.map((change) => (change.wanted ? subscribed[i++]! : ended[j++]!));
  }

  private async lookUp(topics: readonly string[]): Promise<string[][]> {
    const found = await this.table.channelsOf([...new Set(topics)]);
    // Each caller gets an array of its own.
    return topics.map((topic) => [...(found.get(topic) ?? [])]);
  }

  private async topicsOf(ids: readonly string[], operation: string): Promise<Map<string, TopicOf<Topics>[]>> {
    const found = new Map<string, TopicOf<Topics>[]>();
    await this.run(operation, async () => {
      for (let i = 0; i < ids.length; i += BATCH) {
        for (const [id, topics] of await this.table.topicsOf(ids.slice(i, i + BATCH))) {
          found.set(id, topics as TopicOf<Topics>[]);
        }
      }
    });
    return found;
  }

  private async run<R>(operation: string, fn: () => Promise<R>, topic?: string): Promise<R> {
    const opening = this.lifecycle.ready();
    if (opening !== undefined) await opening;
    try {
      return await fn();
    } catch (error) {
      if (error instanceof ClosedError || error instanceof OverloadedError) throw error;
      if (error instanceof InvalidArgumentError) throw error;
      throw new EventHubOperationError(operation, error, topic);
    }
  }
}
