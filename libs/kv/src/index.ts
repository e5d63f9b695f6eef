export { FileAdapter, type FileAdapterOptions } from './file/file.adapter.js';
export { AtomicOperation } from './store/atomic.js';
export { KeyValueStore } from './key-value-store.js';
export type {
  AdapterDeleteOptions,
  AdapterIncrementOptions,
  AdapterLeaseOptions,
  AdapterSetOptions,
  ChangeFeed,
  CommitResult,
  ExpectedVersion,
  Expiry,
  KeyRange,
  KvAdapter,
  KvLease,
  KvOperation,
  KvStats,
  StoredChange,
  StoredEntry,
  StoredHistoryEntry,
} from './kv.adapter.js';
export {
  ImportLineError,
  KvOperationError,
  LeaseHeldError,
  LeaseLostError,
  NotACounterError,
  RevisionTrimmedError,
  VersionConflictError,
} from './kv.errors.js';
export { KeyvNestbox, type KeyvNestboxOptions } from './keyv/keyv-nestbox.js';
export type { LocalAdapterOptions } from './memory/local-host.js';
export { MemoryAdapter } from './memory/memory.adapter.js';
export type { TextPieces } from './store/split-lines.js';
export type {
  Change,
  CopyOptions,
  CopyResult,
  DeleteOptions,
  EntriesOptions,
  Entry,
  GetOrSetOptions,
  HistoryEntry,
  HistoryOptions,
  ImportOptions,
  ImportResult,
  IncrementOptions,
  KeyValueStoreOptions,
  LeaseOptions,
  ListOptions,
  NewEntries,
  NewEntry,
  Page,
  QueryOptions,
  Selector,
  SetOptions,
  TimeToLive,
  UpdateOptions,
  WatchOptions,
} from './kv.types.js';
export type { Watch } from './store/watch.js';
export { KvHealthIndicator, type KvHealthOptions } from './kv.health.js';
export { KvModule, type KvModuleExtras } from './kv.module.js';
export type {
  KvAdapterOptions,
  KvFileOptions,
  KvMemoryOptions,
  KvModuleOptions,
  KvPostgresOptions,
  KvRedisOptions,
  KvStoreOptions,
} from './kv.options.js';
export { InjectKv, getKvToken } from './kv.tokens.js';
export { kvMigrations } from './postgres/kv-schema.js';
export { PostgresAdapter } from './postgres/postgres.adapter.js';
export type {
  PostgresAdapterOptions,
  PostgresConnection,
  PostgresStoreOptions,
} from './postgres/postgres-adapter.options.js';
export { RedisAdapter } from './redis/redis.adapter.js';
export type { RedisAdapterOptions, RedisChangesOptions } from './redis/redis-options.js';
