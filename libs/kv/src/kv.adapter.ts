import type { Duration, JsonValue } from '@nestbox/core';

/** An entry as a backend holds it. Expired entries are never returned. */
export interface StoredEntry {
  key: string;
  value: JsonValue;
  /** Starts at 1 and grows with each change of the key, also across a deletion, so that it is never used twice. */
  version: bigint;
  createdAt: Date;
  updatedAt: Date;
  /** When the entry vanishes by the backend's clock; null when it never does. */
  expiresAt: Date | null;
}

/** What a conditional write expects: the current version, or that there is no (unexpired) entry. */
export type ExpectedVersion = bigint | 'absent';

/** When a written entry vanishes: after so long, never, or (`'keep'`) when the entry it replaces would have. */
export type Expiry = { ttl: Duration } | 'never' | 'keep';

/** How an adapter writes one entry. */
export interface AdapterSetOptions {
  /** Default: `'never'`. */
  expiry?: Expiry;
  ifVersion?: ExpectedVersion;
  /** Keep the written state for `history` and `getVersion`. Default: false. */
  recordHistory?: boolean;
}

/** How an adapter deletes one entry. */
export interface AdapterDeleteOptions {
  ifVersion?: bigint;
  recordHistory?: boolean;
}

/** How an adapter adds to a counter. */
export interface AdapterIncrementOptions {
  /** Of an entry that the increment creates; an existing one keeps its own. Default: `'never'`. */
  expiry?: Expiry;
  recordHistory?: boolean;
}

/**
 * A part of a commit. All checks are made against the state before the commit. A key may be checked and written,
 * but written once only.
 */
export type KvOperation =
  | { type: 'check'; key: string; version: ExpectedVersion }
  | { type: 'set'; key: string; value: unknown; expiry?: Expiry }
  | { type: 'delete'; key: string }
  /** `expiry` is that of an entry which the increment creates; an existing one keeps its own. */
  | { type: 'increment'; key: string; by: bigint; expiry?: Expiry };

/** `versions` has each key that was set or incremented; `failed` the keys whose check did not hold. */
export type CommitResult = { ok: true; versions: Map<string, bigint> } | { ok: false; failed: string[] };

/** Which entries, in the byte order of their keys. All bounds apply together. */
export interface KeyRange {
  prefix?: string;
  /** First key that may be returned. */
  start?: string;
  /** First key, in ascending order, that may no longer be returned. */
  end?: string;
  /** Only keys beyond this one, in the direction of reading. */
  after?: string;
  reverse?: boolean;
  limit: number;
}

/** A former state of a key as a backend keeps it. */
export interface StoredHistoryEntry {
  key: string;
  version: bigint;
  /** Absent where `deleted`. */
  value?: JsonValue;
  deleted: boolean;
  at: Date;
}

/** A change as a backend gives it to `watch`. */
export interface StoredChange {
  type: 'set' | 'delete';
  key: string;
  /** Present where `type` is `set`. */
  value?: JsonValue;
  version: bigint;
  /** Position in the order of all changes; grows, with gaps. */
  revision: bigint;
  at: Date;
  /** True where the entry was deleted because its time was up. */
  expired: boolean;
}

/** A position in the changes of a backend that moves on as they are read. */
export interface ChangeFeed {
  /**
   * The next changes (at least one, in order), as soon as there are any.
   *
   * @throws ClosedError once the feed or its adapter is closed, also to a call that waits;
   *   RevisionTrimmedError when the reader fell so far behind that changes it has not seen are no longer kept
   */
  read(): Promise<StoredChange[]>;
  close(): Promise<void>;
}

/** How an adapter takes a lease. */
export interface AdapterLeaseOptions {
  ttl: Duration;
  /** How long to wait while somebody else holds it. Default: not at all. */
  wait?: Duration;
  signal?: AbortSignal;
}

/** A lock that ends by itself. */
export interface KvLease {
  readonly key: string;
  /** Grows with each holder; a store that remembers the highest one seen can refuse a late holder's writes. */
  readonly fencingToken: bigint;
  /** False as soon as the time is up by this process's monotonic clock, which is before anybody else can hold it. */
  readonly held: boolean;
  /** Starts the time to live again. Throws LeaseLostError when it has run out. */
  renew(): Promise<void>;
  /** Lets others in at once; false when it had run out already. */
  release(): Promise<boolean>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** How much a backend holds. */
export interface KvStats {
  /** Unexpired entries. */
  count: number;
  /** For people, such as `2.3 MB`. */
  size: string;
  /** What the entries occupy, as far as the backend can tell. */
  bytes: number;
}

/**
 * The port between the key-value store and a backend. Every adapter works on its own, opens what it needs on
 * first use, checks its arguments (InvalidArgumentError), and wraps a backend's failure in KvOperationError.
 * Values are encoded before anything is awaited, and those returned are the caller's own: neither side sees what
 * the other does to them later.
 */
export interface KvAdapter {
  /** For messages, such as `PostgreSQL`. */
  readonly backend: string;
  /**
   * True while the caller is inside a transaction that the calls join. The store then keeps no other caller
   * waiting for what the transaction does, and shares nothing that it has not committed. Absent where the backend
   * has no transactions.
   */
  readonly inTransaction?: boolean;

  /** Opens the backend, creating its schema where it has one. Called by the first use too; may be called twice. */
  init(): Promise<void>;
  /** Ends background work and closes connections of our own. May be called twice, and without `init`. */
  close(): Promise<void>;
  /** A round trip to the backend; resolves to its time in ms. */
  ping(): Promise<number>;

  get(key: string): Promise<JsonValue | undefined>;
  /** @throws VersionConflictError when `ifVersion` does not hold */
  set(key: string, value: unknown, options?: AdapterSetOptions): Promise<{ version: bigint }>;
  /** False when there was nothing to delete. @throws VersionConflictError when `ifVersion` does not hold */
  delete(key: string, options?: AdapterDeleteOptions): Promise<boolean>;
  all(): Promise<Record<string, JsonValue>>;

  getEntry(key: string): Promise<StoredEntry | undefined>;
  getEntries(keys: readonly string[]): Promise<Map<string, StoredEntry>>;
  /**
   * All or nothing where the backend can (PostgreSQL, memory, file, Redis standalone). Where a key comes twice,
   * the last one counts.
   */
  setMany(
    entries: readonly { key: string; value: unknown; expiry?: Expiry }[],
    options?: { recordHistory?: boolean },
  ): Promise<Map<string, bigint>>;
  /** How many there were. Where a key comes twice, it counts once. */
  deleteMany(keys: readonly string[], options?: { recordHistory?: boolean }): Promise<number>;
  /** @throws NotACounterError when the value is not a whole number, or the sum is beyond 64 bits */
  increment(
    key: string,
    by: bigint,
    options?: AdapterIncrementOptions,
  ): Promise<{ value: bigint; version: bigint }>;
  /**
   * All or nothing; without operations, `ok`.
   *
   * @throws NotACounterError as `increment` does; UnsupportedOperationError where the keys cannot be changed
   *   together
   */
  commit(operations: readonly KvOperation[], options?: { recordHistory?: boolean }): Promise<CommitResult>;

  list(range: KeyRange): Promise<StoredEntry[]>;
  /** Entries whose value contains a JSON value, as PostgreSQL's `@>` defines it. @throws UnsupportedOperationError */
  query(contains: JsonValue, range: KeyRange): Promise<StoredEntry[]>;
  /** Deletes every key with the prefix ('' for all); resolves to how many. */
  clear(prefix: string, options?: { recordHistory?: boolean }): Promise<number>;
  stats(prefix: string): Promise<KvStats>;

  /** Newest first. Only states written with `recordHistory`. */
  history(key: string, limit: number): Promise<StoredHistoryEntry[]>;
  getVersion(key: string, version: bigint): Promise<StoredHistoryEntry | undefined>;

  /** The position of the newest change whose predecessors are all known. */
  revision(): Promise<bigint>;
  /**
   * Changes of keys with the prefix, from `fromRevision` on (inclusive), or all that are made after this resolves.
   * A `fromRevision` that lies ahead waits for it.
   *
   * @throws RevisionTrimmedError when changes since `fromRevision` are no longer kept
   */
  openFeed(options: { prefix: string; fromRevision?: bigint }): Promise<ChangeFeed>;

  /**
   * Leases have names of their own: a lease `a` and an entry `a` do not touch each other.
   *
   * @throws LeaseHeldError when somebody else holds it and `wait` is over; the signal's reason when it aborts
   */
  lease(key: string, options: AdapterLeaseOptions): Promise<KvLease>;
}
