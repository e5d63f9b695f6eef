import type { Duration } from '@nestbox/core';
import type { ExpectedVersion, KvAdapter } from './kv.adapter.js';

/** Where a store keeps its entries, and how. */
export interface KeyValueStoreOptions {
  adapter: KvAdapter;
  /** Keep every state of every key, for `history` and `getVersion`. Default: false. */
  enableVersioning?: boolean;
  /** Confine the store to a namespace, as `namespace(name)` does. Default: none. */
  namespace?: string;
  /** Time to live of entries that are set without one. Default: they are permanent. */
  ttl?: Duration;
}

/** An entry of a store. */
export interface Entry<V> {
  key: string;
  value: V;
  /** Starts at 1 and grows with each change of the key, also across a deletion: it is never used twice. */
  version: bigint;
  createdAt: Date;
  updatedAt: Date;
  /** Null for an entry that does not expire. */
  expiresAt: Date | null;
}

/** A time to live, or null for a permanent entry in a store that has a default ttl. */
export type TimeToLive = Duration | null;

/** How an entry is written. */
export interface SetOptions {
  /** Default: the store's ttl. */
  ttl?: TimeToLive;
  /** Write only when the entry is at this version, or when there is none. */
  ifVersion?: ExpectedVersion;
}

/** When an entry is deleted. */
export interface DeleteOptions {
  /** Delete only when the entry is at this version. */
  ifVersion?: bigint;
}

/** An entry to write with `setMany`. */
export interface NewEntry<V> {
  key: string;
  value: V;
  /** Default: the store's ttl. */
  ttl?: TimeToLive;
}

/** What `setMany` takes: objects, pairs (hence also a Map), or a plain object of values by key. */
export type NewEntries<V> =
  Iterable<NewEntry<V> | readonly [key: string, value: V]> | { readonly [key: string]: V };

/** Which entries, in the byte order of their keys (UTF-8). All bounds apply together. */
export interface Selector {
  prefix?: string;
  /** First key, in ascending order, that may be returned. */
  start?: string;
  /** First key, in ascending order, that may no longer be returned. */
  end?: string;
  /** From the last key to the first. Default: false. */
  reverse?: boolean;
}

export interface ListOptions extends Selector {
  /** Entries in a page at the most. Default: 1,000. */
  limit?: number;
  /** The `cursor` of the page before, read in the same direction. */
  cursor?: string;
}

export interface EntriesOptions extends Selector {
  /** Entries at the most. Default: all. */
  limit?: number;
  /** Entries that are read at a time. Default: 500. */
  batchSize?: number;
}

/** A part of the entries that were asked for. */
export interface Page<V> {
  entries: Entry<V>[];
  /** Where the next page starts; undefined after the last one. */
  cursor: string | undefined;
}

/** Which values are looked for, and how many at a time. */
export interface QueryOptions {
  /** A part that the value has to have, as PostgreSQL's `@>` defines it: `{ role: 'admin' }`. */
  contains: unknown;
  prefix?: string;
  /** Entries in a page at the most. Default: 1,000. */
  limit?: number;
  /** The `cursor` of the page before. */
  cursor?: string;
}

/** How an update writes its value. */
export interface UpdateOptions {
  /** Start this time to live with the update. Default: an entry keeps its expiry, a new one gets the store's ttl. */
  ttl?: TimeToLive;
}

/** How a counter begins. */
export interface IncrementOptions {
  /** Of a counter that the increment creates; an existing one keeps its own. Default: the store's ttl. */
  ttl?: TimeToLive;
}

/** How a value that is not there is computed and kept. */
export interface GetOrSetOptions {
  /** Default: the store's ttl. */
  ttl?: TimeToLive;
  /** Compute once in the whole cluster, not only once in this process. Default: false. */
  lock?: boolean;
  /** With `lock`: after so long, another process takes over from one that has crashed. Default: 30 s. */
  lockTtl?: Duration;
}

/** How much of a key's history is read. */
export interface HistoryOptions {
  /** States at the most. Default: 100. */
  limit?: number;
}

/** A state that a key once had. */
export interface HistoryEntry<V> {
  key: string;
  version: bigint;
  /** Absent where `deleted`. */
  value?: V;
  deleted: boolean;
  at: Date;
}

/** A change of a key. */
export type Change<V> = {
  key: string;
  version: bigint;
  /** Position in the order of all changes of the backend; grows, with gaps. */
  revision: bigint;
  at: Date;
} & (
  | { type: 'set'; value: V }
  | {
      type: 'delete';
      /** True where the entry was deleted because its time was up. */
      expired: boolean;
    }
);

/** Which changes are watched, and from where on. */
export interface WatchOptions {
  /** Only keys with this prefix. */
  prefix?: string;
  /** Only this key. */
  key?: string;
  /** Start with the change of this revision, instead of with the next one. */
  fromRevision?: bigint;
  /** Ends the watch, without an error. */
  signal?: AbortSignal;
}

/** How a lease is taken. */
export interface LeaseOptions {
  /** How long the lease is held, unless it is renewed. */
  ttl: Duration;
  /** How long to wait while somebody else holds it. Default: not at all. */
  wait?: Duration;
  /** Ends the waiting; its reason is thrown. */
  signal?: AbortSignal;
}

/** How lines are imported. */
export interface ImportOptions {
  /** Replace entries that are there already; where false, they are skipped. Default: true. */
  overwrite?: boolean;
  onProgress?: (progress: ImportResult) => void;
}

/** How many lines were imported. */
export interface ImportResult {
  imported: number;
  /** Lines whose time was up, or whose key was there already. */
  skipped: number;
}

/** How entries are copied to another store. */
export interface CopyOptions {
  /** Entries that are copied at a time. Default: 500. */
  batchSize?: number;
  /** Replace entries that the target has already; where false, they are skipped. Default: true. */
  overwrite?: boolean;
  /** `total` is what the source had when the copying began. */
  onProgress?: (progress: { copied: number; total: number }) => void;
}

/** How many entries were copied. */
export interface CopyResult {
  copied: number;
  /** Entries whose time was up, or whose key the target had already. */
  skipped: number;
}
