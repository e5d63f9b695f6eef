import type { Duration } from '@nestbox/core';
import type { Backplane } from './backplane/backplane.js';
import type { ChannelStore } from './channel.store.js';

/** What a ChannelModule takes whatever keeps its channels. */
export interface ChannelBaseOptions {
  /** Name of the PostgresModule or RedisModule whose connection is used. Default: the one without a name. */
  connection?: string;
  /** What carries messages between instances. Default: the same as the store; memory for one of your own. */
  backplane?: Backplane;
  /** After so long without a sign of life an instance's channels are gone. Default: 15 s. */
  lease?: Duration;
  /** The most bytes of a message. Default: 1 MiB. */
  maxPayload?: number;
  /**
   * For how long the start goes on trying to reach the store; `false` goes on in the background while the application
   * starts. Default: 10 s.
   */
  startTimeout?: Duration | false;
}

/** Channels in a table of PostgreSQL. */
export interface ChannelPostgresOptions extends ChannelBaseOptions {
  store: 'postgres';
  /** Created when it does not exist. Default: `serverless`. */
  schema?: string;
  /** Whether to create and upgrade the tables; else they are checked. Default: true. */
  migrate?: boolean;
  /** The property of a session that says whose it is. Default: `userId`. */
  userKey?: string;
}

/** Channels in Redis. */
export interface ChannelRedisOptions extends ChannelBaseOptions {
  store: 'redis';
  /** What the names of all keys begin with. Default: `pikku`. */
  keyPrefix?: string;
  /** The property of a session that says whose it is. Default: `userId`. */
  userKey?: string;
}

/** Channels in this process, for tests and applications of one instance. */
export interface ChannelMemoryOptions extends ChannelBaseOptions {
  store: 'memory';
  /** The property of a session that says whose it is. Default: `userId`. */
  userKey?: string;
}

/** Channels wherever a store of your own keeps them. */
export interface ChannelStoreOptions extends ChannelBaseOptions {
  store: ChannelStore;
  /** Close the store, and a backplane of your own, with the application. Default: true. */
  closeStore?: boolean;
}

/** Options of `ChannelModule.forRoot`: the backend, and what it needs. */
export type ChannelModuleOptions =
  ChannelPostgresOptions | ChannelRedisOptions | ChannelMemoryOptions | ChannelStoreOptions;
