import { assertAdapter, assertExpectedVersion, assertVersion } from './adapter-support.js';
import { AtomicOperation } from './store/atomic.js';
import { copy } from './store/copy.js';
import { wholeNumber } from './store/counting.js';
import { exportLines, importLines } from './store/export-import.js';
import { getOrSet } from './store/get-or-set.js';
import type { KvAdapter, KvLease, KvStats } from './kv.adapter.js';
import { getVersion, history } from './store/history.js';
import { scopedLease } from './store/lease.js';
import { Namespace } from './store/namespace.js';
import { toNewEntries } from './store/new-entries.js';
import { entries, list, query } from './store/pages.js';
import type { TextPieces } from './store/split-lines.js';
import { SharedState, StoreContext } from './store/store-context.js';
import type {
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
  SetOptions,
  UpdateOptions,
  WatchOptions,
} from './kv.types.js';
import { update } from './store/update.js';
import { watch, type Watch } from './store/watch.js';

/**
 * A key-value store on an adapter: JSON values under keys of up to 512 bytes, with versions, times to live,
 * conditional writes and changes to watch.
 *
 * Every method throws InvalidArgumentError for a bad argument before any I/O, KvOperationError when the backend
 * fails, and ClosedError once the store is closed.
 *
 * @typeParam T the type of the values, where they are alike; each method takes a narrower type of its own too
 */
export class KeyValueStore<T = unknown> {
  private readonly adapter: KvAdapter;
  private readonly context: StoreContext;
  private readonly isView: boolean;

  /** @param parent what a namespace shares with the store it belongs to; not for use from outside */
  constructor(
    private readonly options: KeyValueStoreOptions,
    parent?: StoreContext,
  ) {
    this.adapter = options.adapter;
    assertAdapter(options.adapter, 'adapter');
    const around = parent?.space ?? Namespace.root;
    const space = options.namespace === undefined ? around : around.inner(options.namespace);
    this.context = new StoreContext(options.adapter, space, parent?.shared ?? new SharedState(), options);
    this.isView = parent !== undefined;
  }

  /** Opens the backend. Not needed, since the first use does it, but it tells early when it cannot be opened. */
  init(): Promise<void> {
    return this.adapter.init();
  }

  /** Closes the adapter, which closes what it has opened itself. Of a namespace: does nothing. */
  async close(): Promise<void> {
    if (!this.isView) await this.adapter.close();
  }

  /** A round trip to the backend; resolves to its time in ms. */
  ping(): Promise<number> {
    return this.adapter.ping();
  }

  /** The adapter, for what only it can do; its keys include the namespace. */
  getAdapter(): KvAdapter {
    return this.adapter;
  }

  /**
   * The part of this store whose keys begin with `<name>:`, which are given and taken without it. Namespaces may be
   * nested. The length limit of a key counts the names around it.
   */
  namespace<N = T>(name: string): KeyValueStore<N> {
    return new KeyValueStore<N>({ ...this.options, namespace: name }, this.context);
  }

  /** The value; undefined when there is none. */
  async get<V extends T = T>(key: string): Promise<V | undefined> {
    return (await this.adapter.get(this.outer(key))) as V | undefined;
  }

  /** The value with its version and times; undefined when there is none. */
  async entry<V extends T = T>(key: string): Promise<Entry<V> | undefined> {
    const stored = await this.adapter.getEntry(this.outer(key));
    return stored === undefined ? undefined : this.context.toEntry<V>(stored);
  }

  async has(key: string): Promise<boolean> {
    return (await this.adapter.get(this.outer(key))) !== undefined;
  }

  /**
   * Stores a value. Once this resolves, it is as durable as the backend makes it.
   *
   * @throws VersionConflictError when `ifVersion` does not hold
   */
  // oxlint-disable-next-line no-unnecessary-type-parameters -- as in get<User>(key), so in set<User>(key, user)
  async set<V extends T = T>(
    key: string,
    value: V,
    { ttl, ifVersion }: SetOptions = {},
  ): Promise<{ version: bigint }> {
    const outer = this.outer(key);
    assertExpectedVersion(ifVersion);
    const options = this.context.setOptions(ttl, ifVersion);
    const detached = this.context.detached(value);
    return this.context.write([outer], () => this.adapter.set(outer, detached, options));
  }

  /**
   * False when there was nothing to delete.
   *
   * @throws VersionConflictError when `ifVersion` does not hold
   */
  async delete(key: string, { ifVersion }: DeleteOptions = {}): Promise<boolean> {
    const outer = this.outer(key);
    if (ifVersion !== undefined) assertVersion(ifVersion, 'ifVersion');
    return this.context.write([outer], () =>
      this.adapter.delete(outer, { ...this.context.recording, ifVersion }),
    );
  }

  /** The values of those keys that have one. */
  async getMany<V extends T = T>(keys: Iterable<string>): Promise<Map<string, V>> {
    const outer = this.outerKeys(keys);
    if (outer.length === 0) return new Map();
    const found = await this.adapter.getEntries(outer);
    // In the order that was asked for, whatever the backend's is.
    return new Map(
      outer.flatMap((key) => {
        const stored = found.get(key);
        return stored === undefined ? [] : [[this.context.space.local(key), stored.value as V] as const];
      }),
    );
  }

  /**
   * Stores many values: all or none of them, except on a Redis cluster. Where a key comes twice, the last one counts.
   *
   * @returns the new version of each key
   */
  setMany<V extends T = T>(
    newEntries: Iterable<NewEntry<V> | readonly [key: string, value: V]>,
  ): Promise<Map<string, bigint>>;
  setMany<V extends T = T>(newEntries: { readonly [key: string]: V }): Promise<Map<string, bigint>>;
  async setMany<V extends T = T>(newEntries: NewEntries<V>): Promise<Map<string, bigint>> {
    const stored = toNewEntries(this.context, newEntries);
    if (stored.length === 0) return new Map();
    const keys = stored.map(({ key }) => key);
    const versions = await this.context.write(keys, () =>
      this.adapter.setMany(stored, this.context.recording),
    );
    return new Map([...versions].map(([key, version]) => [this.context.space.local(key), version]));
  }

  /** How many there were. */
  async deleteMany(keys: Iterable<string>): Promise<number> {
    const outer = this.outerKeys(keys);
    if (outer.length === 0) return 0;
    return this.context.write(outer, () => this.adapter.deleteMany(outer, this.context.recording));
  }

  /** Every value by its key. For stores that fit into memory; `entries()` reads any. */
  async getAll<V extends T = T>(): Promise<Record<string, V>> {
    if (this.context.space === Namespace.root) return (await this.adapter.all()) as Record<string, V>;
    const all: [string, V][] = [];
    for await (const { key, value } of this.entries<V>()) all.push([key, value]);
    return Object.fromEntries(all);
  }

  /** A page of entries in key order. */
  list<V extends T = T>(options: ListOptions = {}): Promise<Page<V>> {
    return list<V>(this.context, options);
  }

  /** Entries in key order, read batch by batch as they are asked for. */
  entries<V extends T = T>(options: EntriesOptions = {}): AsyncIterable<Entry<V>> {
    return entries<V>(this.context, options);
  }

  /**
   * A page of the entries whose value contains a part, in key order.
   *
   * @throws UnsupportedOperationError where the backend cannot look into values (Redis)
   */
  query<V extends T = T>(options: QueryOptions): Promise<Page<V>> {
    return query<V>(this.context, options);
  }

  /**
   * Replaces a value by what `fn` makes of it; nobody comes between. `fn` gets a copy (undefined when there is no
   * entry), may be called again when another process was faster, and leaves all as it is by returning undefined.
   *
   * @throws VersionConflictError after losing 100 times
   */
  update<V extends T = T>(
    key: string,
    fn: (current: V | undefined) => V | Promise<V>,
    options?: UpdateOptions,
  ): Promise<{ value: V; version: bigint }>;
  update<V extends T = T>(
    key: string,
    fn: (current: V | undefined) => V | undefined | Promise<V | undefined>,
    options?: UpdateOptions,
  ): Promise<{ value: V | undefined; version: bigint | undefined }>;
  async update<V extends T = T>(
    key: string,
    fn: (current: V | undefined) => V | undefined | Promise<V | undefined>,
    options: UpdateOptions = {},
  ): Promise<{ value: V | undefined; version: bigint | undefined }> {
    const updated = await update(this.context, key, fn as (current: unknown) => unknown, options);
    return { value: updated.value as V | undefined, version: updated.version };
  }

  /**
   * Adds to a whole number, exactly up to 64 bits; where there is none, to 0. Resolves to the sum. (`get` gives a sum
   * beyond 2^53 as the nearest JavaScript number; `increment(key, 0)` gives it exactly.)
   *
   * @throws NotACounterError when the value is not a whole number, or the sum is beyond 64 bits
   */
  async increment(key: string, by: number | bigint = 1, { ttl }: IncrementOptions = {}): Promise<bigint> {
    const outer = this.outer(key);
    const amount = wholeNumber(by, 'by');
    const options = { ...this.context.recording, expiry: this.context.expiry(ttl) };
    const { value } = await this.context.write([outer], () => this.adapter.increment(outer, amount, options));
    return value;
  }

  /** Checks and writes that happen together or not at all: `store.atomic().check(…).set(…).commit()`. */
  atomic(): AtomicOperation<T> {
    return new AtomicOperation<T>(this.context);
  }

  /**
   * The value; where there is none, `fn` computes it, and it is stored. Callers in this process share a computation
   * (and its failure, after which the next call tries again); with `lock`, all processes do. Null is a value like any
   * other. Inside a transaction nothing is shared or locked. A value that somebody sets meanwhile is kept and given.
   */
  async getOrSet<V extends T = T>(
    key: string,
    fn: () => V | Promise<V>,
    options: GetOrSetOptions = {},
  ): Promise<V> {
    return (await getOrSet(this.context, key, fn, options)) as V;
  }

  /**
   * The states that a key has had, newest first.
   *
   * @throws UnsupportedOperationError unless the store was created with `enableVersioning`
   */
  history<V extends T = T>(key: string, { limit = 100 }: HistoryOptions = {}): Promise<HistoryEntry<V>[]> {
    return history<V>(this.context, key, limit);
  }

  /**
   * The state that a key had at a version; undefined when it is not known.
   *
   * @throws UnsupportedOperationError unless the store was created with `enableVersioning`
   */
  getVersion<V extends T = T>(key: string, version: bigint): Promise<HistoryEntry<V> | undefined> {
    return getVersion<V>(this.context, key, version);
  }

  /**
   * The changes of a key, of the keys with a prefix, or of all. It is open at once: every change that this store
   * makes after `watch` has returned will be seen; await `ready` for those of other processes.
   */
  watch<V extends T = T>(options: WatchOptions = {}): Watch<V> {
    return watch<V>(this.context, options);
  }

  /** The newest revision, for `watch({ fromRevision })`: the changes after it have higher ones. */
  revision(): Promise<bigint> {
    return this.adapter.revision();
  }

  /**
   * A lock that ends by itself. What it protects should remember the highest `fencingToken` it has seen and refuse
   * lower ones, since a holder that was held up does not notice that its time is up.
   *
   * @throws LeaseHeldError when somebody else holds it and `wait` is over
   */
  async lease(key: string, options: LeaseOptions): Promise<KvLease> {
    const outer = this.outer(key);
    return scopedLease(this.context.space, () => this.adapter.lease(outer, options));
  }

  /**
   * All entries as lines of JSON, each with its line break:
   * `{"key","value","version","createdAt","updatedAt","expiresAt"}`.
   */
  export(): AsyncIterable<string> {
    return exportLines(this.context);
  }

  /**
   * Stores what `export` gave: lines, or a text cut in any pieces, such as a file's stream. An entry keeps what is
   * left of its time; one whose time is up is skipped. Versions start anew.
   *
   * @throws ImportLineError for a line that is not an entry, with the line, the path in it, and how much was stored
   */
  import(lines: TextPieces, options: ImportOptions = {}): Promise<ImportResult> {
    return importLines(this.context, lines, options);
  }

  /** Copies all entries into another store, on any backend; they keep what is left of their time. */
  copyTo(other: KeyValueStore, options: CopyOptions = {}): Promise<CopyResult> {
    return copy(this.context, other.context, options);
  }

  /** How many entries there are, and what they occupy. */
  stats(): Promise<KvStats> {
    return this.adapter.stats(this.context.space.prefix);
  }

  /** Deletes every entry; resolves to how many there were. */
  clear(): Promise<number> {
    return this.context.write(undefined, () =>
      this.adapter.clear(this.context.space.prefix, this.context.recording),
    );
  }

  private outer(key: string): string {
    return this.context.space.outer(key);
  }

  private outerKeys(keys: Iterable<string>): string[] {
    return [...new Set(Array.from(keys, (key, i) => this.context.space.outer(key, `keys[${i}]`)))];
  }
}
