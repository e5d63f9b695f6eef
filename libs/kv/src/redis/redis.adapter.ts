import { UnsupportedOperationError, assertJson, type JsonValue } from '@nestbox/core';
import type { Redis, RedisConnectionOptions } from '@nestbox/redis';
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
import { assertKeyPrefix } from './key-space.js';
import { settingsOf, type RedisAdapterOptions, type RedisAdapterSettings } from './redis-options.js';
import { RedisStore } from './redis-store.js';
import { parseValue } from './stored-text.js';
import type { WriteOperation, Written } from './write-batch.js';

const BACKEND = 'Redis';
interface RecordOption {
  recordHistory?: boolean;
}

/**
 * Keeps entries in Redis: a standalone server, one behind sentinels, or a cluster.
 *
 * What it has acknowledged is as durable as the server's persistence and replication make it: with Redis' defaults a
 * crash can lose the last seconds. Do not let the server evict keys (`maxmemory-policy noeviction` or `volatile-*`).
 */
export class RedisAdapter implements KvAdapter {
  readonly backend = BACKEND;
  private readonly settings: RedisAdapterSettings;
  private readonly lifecycle: Lifecycle;
  private store: RedisStore | undefined;

  /**
   * @param connection a URL, ioredis options, `{ cluster: nodes }`; or an ioredis client or a Redis of
   *   `@nestbox/redis`, which is shared and never closed
   * @param keyPrefix what the names of all its keys in Redis begin with; no other store's prefix may begin with it
   *   and a colon. Default: `kv`
   */
  constructor(
    private readonly connection: RedisConnectionOptions | Redis,
    private readonly keyPrefix = 'kv',
    options: RedisAdapterOptions = {},
  ) {
    assertKeyPrefix(keyPrefix);
    this.settings = settingsOf(options);
    const open = async (): Promise<void> => {
      this.store = await RedisStore.open('RedisAdapter', this.connection, this.keyPrefix, this.settings);
    };
    this.lifecycle = new Lifecycle('RedisAdapter', open, async () => this.store?.close());
  }

  async init(): Promise<void> {
    await naming('open the Redis store', async () => this.lifecycle.ready());
  }

  close(): Promise<void> {
    return this.lifecycle.close();
  }

  ping(): Promise<number> {
    return this.perform('ping Redis', ({ link }) => link.ping());
  }

  async get(key: string): Promise<JsonValue | undefined> {
    assertKey(key);
    try {
      const { reader } = this.now() ?? (await this.later());
      const text = await reader.get(key);
      return text === null ? undefined : parseValue(key, text);
    } catch (error) {
      throw operationError(keyOperation('get', key), error, key);
    }
  }

  async set(
    key: string,
    value: unknown,
    { expiry, ifVersion: expected, recordHistory: record = false }: AdapterSetOptions = {},
  ): Promise<{ version: bigint }> {
    assertKey(key);
    const json = encodeValue(value);
    const lifetime = lifetimeOf(expiry);
    assertExpectedVersion(expected);
    // Not by `write`: this is called most, and one promise less shows.
    try {
      const { writer } = this.now() ?? (await this.later());
      const written = await writer.run({ type: 'set', key, json, lifetime, expected, record });
      if (written instanceof Error) throw written;
      return { version: written.version! };
    } catch (error) {
      throw operationError(keyOperation('set', key), error, key);
    }
  }

  async delete(
    key: string,
    { ifVersion: expected, recordHistory: record = false }: AdapterDeleteOptions = {},
  ): Promise<boolean> {
    assertKey(key);
    if (expected !== undefined) assertVersion(expected, 'ifVersion');
    const { done } = await this.write('delete', { type: 'delete', key, expected, record });
    return done!;
  }

  async all(): Promise<Record<string, JsonValue>> {
    const entries = await this.perform('read all entries', (store) =>
      store.entries.list({ limit: Number.MAX_SAFE_INTEGER }),
    );
    return Object.fromEntries(entries.map(({ key, value }) => [key, value]));
  }

  async getEntry(key: string): Promise<StoredEntry | undefined> {
    assertKey(key);
    return this.perform(keyOperation('get', key), ({ entries }) => entries.get(key), key);
  }

  async getEntries(keys: readonly string[]): Promise<Map<string, StoredEntry>> {
    const distinct = distinctKeys(keys);
    const found = await this.perform('get keys', ({ entries }) => entries.getMany(distinct));
    return new Map(found.map((entry) => [entry.key, entry]));
  }

  /** All or nothing on a standalone server. On a cluster that holds for the keys of each shard. */
  async setMany(
    entries: readonly { key: string; value: unknown; expiry?: Expiry }[],
    { recordHistory: record = false }: RecordOption = {},
  ): Promise<Map<string, bigint>> {
    const encoded = encodeEntries(entries);
    return this.perform('set keys', ({ writer }) => writer.setMany(encoded, record));
  }

  /** All or nothing on a standalone server. On a cluster that holds for the keys of each shard. */
  async deleteMany(
    keys: readonly string[],
    { recordHistory: record = false }: RecordOption = {},
  ): Promise<number> {
    const distinct = distinctKeys(keys);
    return this.perform('delete keys', ({ writer }) => writer.deleteMany(distinct, record));
  }

  async increment(
    key: string,
    by: bigint,
    { expiry, recordHistory: record = false }: AdapterIncrementOptions = {},
  ): Promise<{ value: bigint; version: bigint }> {
    assertKey(key);
    assertIncrement(by);
    const lifetime = lifetimeOf(expiry);
    const written = await this.write('increment', { type: 'increment', key, by, lifetime, record });
    return { value: written.value!, version: written.version! };
  }

  /**
   * All or nothing.
   *
   * @throws UnsupportedOperationError on a cluster, for keys of different shards: give them a common `{tag}`
   */
  async commit(
    operations: readonly KvOperation[],
    { recordHistory: record = false }: RecordOption = {},
  ): Promise<CommitResult> {
    const encoded = encodeOperations(operations);
    return this.perform('commit', ({ writer }) => writer.commit(encoded, record));
  }

  /** By an index of keys: O(log n) for each shard, and O(1) for each entry. */
  async list(range: KeyRange): Promise<StoredEntry[]> {
    assertRange(range);
    return this.perform('list keys', ({ entries }) => entries.list(range));
  }

  async query(contains: JsonValue, range: KeyRange): Promise<StoredEntry[]> {
    assertJson(contains, 'contains');
    assertRange(range);
    throw new UnsupportedOperationError(
      'query',
      BACKEND,
      'Filter what list returns, or keep these entries in PostgreSQL, which has an index for it.',
    );
  }

  async clear(prefix: string, { recordHistory: record = false }: RecordOption = {}): Promise<number> {
    assertBound(prefix, 'prefix');
    return this.perform('clear keys', ({ entries }) => entries.clear(prefix, record));
  }

  /** O(n). `bytes` is that of names and texts; what Redis needs beside them is not counted. */
  async stats(prefix: string): Promise<KvStats> {
    assertBound(prefix, 'prefix');
    return this.perform('read statistics', ({ entries }) => entries.stats(prefix));
  }

  async history(key: string, limit: number): Promise<StoredHistoryEntry[]> {
    assertKey(key);
    assertLimit(limit);
    const operation = `read the history of key "${key}"`;
    return this.perform(operation, ({ entries }) => entries.history(key, limit), key);
  }

  async getVersion(key: string, version: bigint): Promise<StoredHistoryEntry | undefined> {
    assertKey(key);
    assertVersion(version);
    const operation = `read a version of key "${key}"`;
    return this.perform(operation, ({ entries }) => entries.version(key, version), key);
  }

  revision(): Promise<bigint> {
    return this.perform('read the revision', ({ log }) => log.revision());
  }

  /**
   * Woken at once on a standalone server, and on a cluster with `shards: 1`. On a cluster with more it looks for changes
   * of other processes every `changes.pollInterval`, and orders them by the clocks of the masters.
   */
  async openFeed({ prefix, fromRevision }: { prefix: string; fromRevision?: bigint }): Promise<ChangeFeed> {
    assertBound(prefix, 'prefix');
    if (fromRevision !== undefined) assertVersion(fromRevision, 'fromRevision');
    if (this.settings.maxChanges === 0) {
      throw new UnsupportedOperationError(
        'watch',
        `${BACKEND} with changes: false`,
        'Leave that option out.',
      );
    }
    return this.perform('watch changes', ({ watcher }) => watcher.open(prefix, fromRevision));
  }

  /**
   * Fencing tokens grow whatever happens to the server. That nobody else holds the lease meanwhile is sure as long as
   * the server does not fail over to a replica that had not heard of it.
   */
  async lease(key: string, options: AdapterLeaseOptions): Promise<KvLease> {
    assertKey(key);
    const operation = `lease "${key}"`;
    const { leases } = this.now() ?? (await this.perform(operation, (store) => Promise.resolve(store), key));
    return leases.acquire(key, options);
  }

  /** What is open, when it is already. @throws ClosedError */
  private now(): RedisStore | undefined {
    return this.lifecycle.ready() === undefined ? this.store : undefined;
  }

  private async later(): Promise<RedisStore> {
    await this.lifecycle.ready();
    return this.store!;
  }

  private async perform<R>(
    operation: string,
    fn: (store: RedisStore) => Promise<R>,
    key?: string,
  ): Promise<R> {
    return naming(operation, async () => fn(this.now() ?? (await this.later())), key);
  }

  private async write(verb: string, operation: WriteOperation): Promise<Written> {
    const { key } = operation;
    try {
      const { writer } = this.now() ?? (await this.later());
      const written = await writer.run(operation);
      if (written instanceof Error) throw written;
      return written;
    } catch (error) {
      throw operationError(keyOperation(verb, key), error, key);
    }
  }
}
