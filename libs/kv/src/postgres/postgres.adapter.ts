import { assertName, encodeJson, type JsonValue } from '@nestbox/core';
import type { Postgres } from '@nestbox/postgres';
import {
  Lifecycle,
  assertBound,
  assertExpectedVersion,
  assertIncrement,
  assertKey,
  assertLimit,
  assertRange,
  assertVersion,
  distinctKeys,
  encodeEntries,
  encodeOperations,
  encodeValue,
  keyOperation,
  lifetimeOf,
  naming,
  operationError,
} from '../adapter-support.js';
import type {
  AdapterDeleteOptions,
  AdapterIncrementOptions,
  AdapterLeaseOptions,
  AdapterSetOptions,
  ChangeFeed,
  CommitResult,
  Expiry,
  KeyRange,
  KvAdapter,
  KvLease,
  KvOperation,
  KvStats,
  StoredEntry,
  StoredHistoryEntry,
} from '../kv.adapter.js';
import { boundsOf } from './key-bounds.js';
import { databaseOf, settingsOf, type PostgresAdapterOptions } from './postgres-adapter.options.js';
import { PostgresStore } from './postgres-store.js';
import { parseJson } from './rows.js';
import { doneOrThrow, type Done, type WriteOperation } from './write-operations.js';

interface RecordOption {
  recordHistory?: boolean;
}

const WHAT = 'PostgresAdapter';

/**
 * Keeps entries in a PostgreSQL table. A write that has resolved is as durable as a commit. Inside a transaction of
 * the same `Postgres` all calls join it.
 */
export class PostgresAdapter implements KvAdapter {
  readonly backend = 'PostgreSQL';
  private readonly postgres: Postgres;
  private readonly store: PostgresStore;
  private readonly lifecycle: Lifecycle;

  /** @throws InvalidArgumentError */
  constructor(options: PostgresAdapterOptions) {
    const settings = settingsOf(options);
    const { postgres, owned } = databaseOf(options);
    this.postgres = postgres;
    const store = new PostgresStore(WHAT, postgres, settings);
    this.store = store;
    const shut = async (): Promise<void> => {
      await store.close();
      if (owned) await postgres.close();
    };
    this.lifecycle = new Lifecycle(WHAT, () => store.open(), shut);
  }

  get inTransaction(): boolean {
    return this.postgres.currentTransaction !== undefined;
  }

  async init(): Promise<void> {
    await naming('open the PostgreSQL store', async () => this.lifecycle.ready());
  }

  close(): Promise<void> {
    return this.lifecycle.close();
  }

  ping(): Promise<number> {
    return this.run('ping PostgreSQL', ({ postgres }) => postgres.ping());
  }

  async get(key: string): Promise<JsonValue | undefined> {
    assertKey(key);
    // As `run` does it, without the functions: this is called most.
    try {
      const opening = this.lifecycle.ready();
      if (opening !== undefined) await opening;
      const json = await this.store.reader.json(key);
      return json === null ? undefined : parseJson(json);
    } catch (error) {
      throw operationError(keyOperation('get', key), error, key);
    }
  }

  async set(
    key: string,
    value: unknown,
    { expiry, ifVersion, recordHistory = false }: AdapterSetOptions = {},
  ): Promise<{ version: bigint }> {
    assertKey(key);
    const json = encodeValue(value);
    const lifetime = lifetimeOf(expiry);
    assertExpectedVersion(ifVersion);
    const operation = { type: 'set', key, json, lifetime, expected: ifVersion } as const;
    try {
      const opening = this.lifecycle.ready();
      if (opening !== undefined) await opening;
      const { version } = doneOrThrow(operation, await this.store.writer.write(operation, recordHistory));
      return { version: version! };
    } catch (error) {
      throw operationError(keyOperation('set', key), error, key);
    }
  }

  async delete(
    key: string,
    { ifVersion, recordHistory = false }: AdapterDeleteOptions = {},
  ): Promise<boolean> {
    assertKey(key);
    if (ifVersion !== undefined) assertVersion(ifVersion, 'ifVersion');
    const operation = { type: 'delete', key, expected: ifVersion } as const;
    const { version } = await this.write(operation, recordHistory);
    return version !== undefined;
  }

  /** Every entry, in one snapshot: O(n). */
  all(): Promise<Record<string, JsonValue>> {
    return this.run('read all entries', ({ reader }) => reader.all());
  }

  async getEntry(key: string): Promise<StoredEntry | undefined> {
    assertKey(key);
    return this.onKey('get', key, ({ reader }) => reader.entry(key));
  }

  async getEntries(keys: readonly string[]): Promise<Map<string, StoredEntry>> {
    const distinct = distinctKeys(keys);
    return this.run('get keys', ({ reader }) => reader.entriesOf(distinct));
  }

  async setMany(
    entries: readonly { key: string; value: unknown; expiry?: Expiry }[],
    { recordHistory = false }: RecordOption = {},
  ): Promise<Map<string, bigint>> {
    const encoded = encodeEntries(entries);
    return this.run('set keys', ({ writer }) => writer.setMany(encoded, recordHistory));
  }

  async deleteMany(keys: readonly string[], { recordHistory = false }: RecordOption = {}): Promise<number> {
    const distinct = distinctKeys(keys);
    return this.run('delete keys', ({ writer }) => writer.deleteMany(distinct, recordHistory));
  }

  async increment(
    key: string,
    by: bigint,
    { expiry, recordHistory = false }: AdapterIncrementOptions = {},
  ): Promise<{ value: bigint; version: bigint }> {
    assertKey(key);
    assertIncrement(by);
    const operation = { type: 'increment', key, by, lifetime: lifetimeOf(expiry) } as const;
    const { sum, version } = await this.write(operation, recordHistory);
    return { value: sum!, version: version! };
  }

  async commit(
    operations: readonly KvOperation[],
    { recordHistory = false }: RecordOption = {},
  ): Promise<CommitResult> {
    const encoded = encodeOperations(operations);
    return this.run('commit', ({ writer }) => writer.commit(encoded, recordHistory));
  }

  async list(range: KeyRange): Promise<StoredEntry[]> {
    assertRange(range);
    return this.run('list keys', ({ reader }) => reader.list(range));
  }

  /** As fast as the table is small, unless it has an index for it: `indexValues`. */
  async query(contains: JsonValue, range: KeyRange): Promise<StoredEntry[]> {
    const json = encodeJson(contains, 'contains');
    assertRange(range);
    return this.run('query entries', ({ reader }) => reader.list(range, json));
  }

  /** In batches, each with a commit of its own unless inside a transaction. */
  async clear(prefix: string, { recordHistory = false }: RecordOption = {}): Promise<number> {
    assertBound(prefix, 'prefix');
    return this.run('clear keys', ({ writer }) => writer.clear(boundsOf({ prefix }), recordHistory));
  }

  /** `bytes` is what the table occupies with its indexes or, with a prefix, what the rows do. */
  async stats(prefix: string): Promise<KvStats> {
    assertBound(prefix, 'prefix');
    return this.run('read statistics', ({ reader }) => reader.stats(prefix));
  }

  async history(key: string, limit: number): Promise<StoredHistoryEntry[]> {
    assertKey(key);
    assertLimit(limit);
    return this.onKey('read the history of', key, ({ reader }) => reader.history(key, limit));
  }

  async getVersion(key: string, version: bigint): Promise<StoredHistoryEntry | undefined> {
    assertKey(key);
    assertVersion(version);
    return this.onKey('read a version of', key, ({ reader }) => reader.version(key, version));
  }

  revision(): Promise<bigint> {
    return this.run('read the revision', (store) => store.revision());
  }

  async openFeed({ prefix, fromRevision }: { prefix: string; fromRevision?: bigint }): Promise<ChangeFeed> {
    assertBound(prefix, 'prefix');
    if (fromRevision !== undefined) assertVersion(fromRevision, 'fromRevision');
    return this.run('watch changes', (store) => store.openFeed(prefix, fromRevision));
  }

  async lease(key: string, options: AdapterLeaseOptions): Promise<KvLease> {
    assertKey(key);
    const { leases } = await this.run(`lease "${key}"`, async (store) => store, key);
    return leases.acquire(key, options);
  }

  /**
   * Copies the entries into a table `<tableName>_backup_<time>` beside it, such as
   * `kv_store_backup_2025-11-01T16-35-00Z`; resolves to its name.
   *
   * @throws InvalidArgumentError when the name would have more than 63 bytes
   */
  backup(): Promise<string> {
    return this.run('back up the store', ({ backups }) => backups.take());
  }

  /** The names of the backups of this store, newest first. */
  listBackups(): Promise<string[]> {
    return this.run('list backups', ({ backups }) => backups.list());
  }

  /**
   * Makes the entries those of a backup, all at once; what is not in it is deleted. Restored entries get new
   * versions, and all of it is reported to those who watch. Writers wait meanwhile.
   *
   * @returns how many entries there are now
   * @throws InvalidArgumentError when there is no such backup
   */
  async restore(name: string): Promise<number> {
    assertName(name, 'name');
    return this.run(`restore ${JSON.stringify(name)}`, ({ backups }) => backups.restore(name));
  }

  /** Drops the backups of this store that are older than so many days; resolves to their names. */
  async cleanupOldBackups(days = 30): Promise<string[]> {
    return this.run('clean up old backups', ({ backups }) => backups.cleanUp(days));
  }

  /** {@link stats} of the whole store. */
  getStats(): Promise<KvStats> {
    return this.stats('');
  }

  private async write(operation: WriteOperation, recordHistory: boolean): Promise<Done> {
    const { type, key } = operation;
    return this.onKey(type, key, async ({ writer }) =>
      doneOrThrow(operation, await writer.write(operation, recordHistory)),
    );
  }

  private onKey<R>(verb: string, key: string, fn: (store: PostgresStore) => Promise<R>): Promise<R> {
    return this.run(() => keyOperation(verb, key), fn, key);
  }

  private async run<R>(
    operation: string | (() => string),
    fn: (store: PostgresStore) => Promise<R>,
    key?: string,
  ): Promise<R> {
    try {
      const opening = this.lifecycle.ready();
      if (opening !== undefined) await opening;
      return await fn(this.store);
    } catch (error) {
      throw operationError(typeof operation === 'string' ? operation : operation(), error, key);
    }
  }
}
