import type { Duration } from '@nestbox/core';
import type { FileAdapterOptions } from './file/file.adapter.js';
import type { KvAdapter } from './kv.adapter.js';
import type { LocalAdapterOptions } from './memory/local-host.js';
import type { PostgresStoreOptions } from './postgres/postgres-adapter.options.js';
import type { RedisAdapterOptions } from './redis/redis-options.js';

/** What a store takes whatever keeps its entries. */
export interface KvStoreOptions {
  /** Keep every state of every key, for `history` and `getVersion`. Default: false. */
  enableVersioning?: boolean;
  /** Confine the store to a namespace of the backend. Default: none. */
  namespace?: string;
  /** Time to live of entries that are set without one. Default: they are permanent. */
  ttl?: Duration;
}

/** Entries in a table of PostgreSQL. */
export interface KvPostgresOptions extends KvStoreOptions, PostgresStoreOptions {
  store: 'postgres';
  /** Name of the PostgresModule whose connection is used. Default: the one without a name. */
  connection?: string;
}

/** Entries in Redis. */
export interface KvRedisOptions extends KvStoreOptions, RedisAdapterOptions {
  store: 'redis';
  /** Name of the RedisModule whose connection is used. Default: the one without a name. */
  connection?: string;
  /** What the names of all keys in Redis begin with. Default: `kv`. */
  keyPrefix?: string;
}

/** Entries in this process, lost with it. */
export interface KvMemoryOptions extends KvStoreOptions, LocalAdapterOptions {
  store: 'memory';
}

/** Entries in a file, for one process. */
export interface KvFileOptions extends KvStoreOptions, FileAdapterOptions {
  store: 'file';
}

/** Entries wherever an adapter of your own keeps them. */
export interface KvAdapterOptions extends KvStoreOptions {
  store: KvAdapter;
  /** Close the adapter with the application. Set it to false where others use it too. Default: true. */
  closeAdapter?: boolean;
}

/** Options of `KvModule.forRoot`: the backend, and what it needs. */
export type KvModuleOptions =
  KvPostgresOptions | KvRedisOptions | KvMemoryOptions | KvFileOptions | KvAdapterOptions;
