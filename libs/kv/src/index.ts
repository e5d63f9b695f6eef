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
