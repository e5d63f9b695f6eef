import type { Backplane } from '@nestbox/channels';
import type { Duration } from '@nestbox/core';
import type { HubSettings } from './event-hub.options.js';
import type { EventHubStore } from './event-hub.store.js';

/** What carries messages between instances. */
export type BackplaneKind = 'postgres' | 'redis' | 'redis-sharded' | 'memory';

/** What every kind of hub takes. */
export interface EventHubBaseOptions extends HubSettings {
  /** What carries messages between instances. Default: the kind of the store; memory for one of your own. */
  backplane?: BackplaneKind | Backplane;
  /** The name of the ChannelModule whose channels are subscribed. Default: the one without a name. */
  channels?: string;
  /** Name of the PostgresModule or RedisModule whose connection is used. Default: the one without a name. */
  connection?: string;
  /** For how long the start goes on trying; `false` goes on in the background while the application starts. Default: 10 s. */
  startTimeout?: Duration | false;
  /** For how long handlers may go on when the application shuts down. Default: 10 s. */
  drainTimeout?: Duration;
  /** The schema on PostgreSQL, that of the ChannelModule. Default: `serverless`. */
  schema?: string;
  /** Whether tables are created at start; else they are checked. Default: true. */
  migrate?: boolean;
  /** What the names of all keys in Redis begin with, as in the ChannelModule. Default: `pikku`. */
  keyPrefix?: string;
}

/** Subscriptions in a table of PostgreSQL, beside the channels. */
export interface EventHubPostgresOptions extends EventHubBaseOptions {
  store: 'postgres';
}

/** Subscriptions in Redis, beside the channels. */
export interface EventHubRedisOptions extends EventHubBaseOptions {
  store: 'redis';
}

/** Subscriptions in this process, for tests and applications of one instance. */
export interface EventHubMemoryOptions extends EventHubBaseOptions {
  store: 'memory';
}

/** Subscriptions wherever a store of your own keeps them. */
export interface EventHubStoreOptions extends EventHubBaseOptions {
  store: EventHubStore;
  /** Close the store, and a backplane of your own, with the application. Default: true. */
  closeStore?: boolean;
}

/** Options of `EventHubModule.forRoot`: the backend, and what it needs. */
export type EventHubModuleOptions =
  EventHubPostgresOptions | EventHubRedisOptions | EventHubMemoryOptions | EventHubStoreOptions;
