import { assertJson, type JsonValue } from '@nestbox/core';
import {
  addToCounter,
  assertBound,
  assertExpectedVersion,
  assertIncrement,
  assertKey,
  assertLimit,
  assertRange,
  assertVersion,
  containsJson,
  distinctKeys,
  encodeEntries,
  encodeOperations,
  encodeValue,
  keyOperation,
  lifetimeOf,
  naming,
  readableSize,
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
import { LocalHost } from './local-host.js';
import type { LocalState } from './local-state.js';
import { toStoredEntry, toStoredHistory } from './stored.js';

interface RecordOption {
  recordHistory?: boolean;
}

/** What MemoryAdapter and FileAdapter share: all but where the state comes from and goes to. */
export abstract class LocalAdapter extends LocalHost implements KvAdapter {
  abstract readonly backend: string;

  async get(key: string): Promise<JsonValue | undefined> {
    assertKey(key);
    const state = this.now() ?? (await this.later(keyOperation('get', key)));
    const entry = state.get(key, Date.now());
    return entry === undefined ? undefined : (JSON.parse(entry.json) as JsonValue);
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
    return this.change(keyOperation('set', key), (state, now) => {
      state.assertMatches(key, ifVersion, now);
      return { version: state.set(key, json, lifetime, recordHistory, now) };
    });
  }

  async delete(
    key: string,
    { ifVersion, recordHistory = false }: AdapterDeleteOptions = {},
  ): Promise<boolean> {
    assertKey(key);
    if (ifVersion !== undefined) assertVersion(ifVersion, 'ifVersion');
    return this.change(keyOperation('delete', key), (state, now) => {
      state.assertMatches(key, ifVersion, now);
      return remove(state, key, recordHistory, now);
    });
  }

  async all(): Promise<Record<string, JsonValue>> {
    const state = this.now() ?? (await this.later('read all entries'));
    const entries = [...state.range({ limit: Infinity }, Date.now())];
    return Object.fromEntries(entries.map(([key, { json }]) => [key, JSON.parse(json) as JsonValue]));
  }

  async getEntry(key: string): Promise<StoredEntry | undefined> {
    assertKey(key);
    const state = this.now() ?? (await this.later(keyOperation('get', key)));
    const entry = state.get(key, Date.now());
    return entry === undefined ? undefined : toStoredEntry([key, entry]);
  }

  async getEntries(keys: readonly string[]): Promise<Map<string, StoredEntry>> {
    const distinct = distinctKeys(keys);
    const state = this.now() ?? (await this.later('get keys'));
    const now = Date.now();
    const found = new Map<string, StoredEntry>();
    for (const key of distinct) {
      const entry = state.get(key, now);
      if (entry !== undefined) found.set(key, toStoredEntry([key, entry]));
    }
    return found;
  }

  async setMany(
    entries: readonly { key: string; value: unknown; expiry?: Expiry }[],
    { recordHistory = false }: RecordOption = {},
  ): Promise<Map<string, bigint>> {
    const encoded = encodeEntries(entries);
    return this.change(
      'set keys',
      (state, now) =>
        new Map(
          encoded.map(({ key, json, lifetime }) => [key, state.set(key, json, lifetime, recordHistory, now)]),
        ),
    );
  }

  async deleteMany(keys: readonly string[], { recordHistory = false }: RecordOption = {}): Promise<number> {
    const distinct = distinctKeys(keys);
    return this.change(
      'delete keys',
      (state, now) => distinct.filter((key) => remove(state, key, recordHistory, now)).length,
    );
  }

  async increment(
    key: string,
    by: bigint,
    { expiry, recordHistory = false }: AdapterIncrementOptions = {},
  ): Promise<{ value: bigint; version: bigint }> {
    assertKey(key);
    assertIncrement(by);
    const lifetime = lifetimeOf(expiry);
    return this.change(keyOperation('increment', key), (state, now) => {
      const before = state.get(key, now);
      const value = addToCounter(key, before?.json, by);
      const kept = before === undefined ? lifetime : 'keep';
      return { value, version: state.set(key, value.toString(), kept, recordHistory, now) };
    });
  }

  async commit(
    operations: readonly KvOperation[],
    { recordHistory = false }: RecordOption = {},
  ): Promise<CommitResult> {
    const encoded = encodeOperations(operations);
    return this.change('commit', (state, now): CommitResult => {
      const failed = encoded.filter((op) => op.type === 'check' && !state.matches(op.key, op.version, now));
      if (failed.length > 0) return { ok: false, failed: [...new Set(failed.map(({ key }) => key))] };
      // The sums come first: one that cannot be made must leave everything as it is.
      const sums = new Map(
        encoded.flatMap((op): [string, bigint][] =>
          op.type === 'increment'
            ? [[op.key, addToCounter(op.key, state.get(op.key, now)?.json, op.by)]]
            : [],
        ),
      );
      const versions = new Map<string, bigint>();
      for (const op of encoded) {
        if (op.type === 'set') {
          versions.set(op.key, state.set(op.key, op.json, op.lifetime, recordHistory, now));
        } else if (op.type === 'increment') {
          const kept = state.get(op.key, now) === undefined ? op.lifetime : 'keep';
          versions.set(op.key, state.set(op.key, sums.get(op.key)!.toString(), kept, recordHistory, now));
        } else if (op.type === 'delete') {
          remove(state, op.key, recordHistory, now);
        }
      }
      return { ok: true, versions };
    });
  }

  async list(range: KeyRange): Promise<StoredEntry[]> {
    assertRange(range);
    const state = this.now() ?? (await this.later('list keys'));
    const found: StoredEntry[] = [];
    for (const item of state.range(range, Date.now())) {
      found.push(toStoredEntry(item));
      if (found.length === range.limit) break;
    }
    return found;
  }

  async query(contains: JsonValue, range: KeyRange): Promise<StoredEntry[]> {
    assertJson(contains, 'contains');
    assertRange(range);
    const part = structuredClone(contains);
    const state = this.now() ?? (await this.later('query entries'));
    const found: StoredEntry[] = [];
    for (const item of state.range(range, Date.now())) {
      const entry = toStoredEntry(item);
      if (containsJson(entry.value, part)) found.push(entry);
      if (found.length === range.limit) break;
    }
    return found;
  }

  async clear(prefix: string, { recordHistory = false }: RecordOption = {}): Promise<number> {
    assertBound(prefix, 'prefix');
    return this.change('clear keys', (state, now) => {
      let count = 0;
      for (const key of state.keysWith(prefix)) if (remove(state, key, recordHistory, now)) count++;
      return count;
    });
  }

  async stats(prefix: string): Promise<KvStats> {
    assertBound(prefix, 'prefix');
    const state = this.now() ?? (await this.later('read statistics'));
    let count = 0;
    let bytes = 0;
    for (const [key, { json }] of state.range({ prefix, limit: Infinity }, Date.now())) {
      count++;
      bytes += Buffer.byteLength(key) + Buffer.byteLength(json);
    }
    return { count, size: readableSize(bytes), bytes };
  }

  async history(key: string, limit: number): Promise<StoredHistoryEntry[]> {
    assertKey(key);
    assertLimit(limit);
    const state = this.now() ?? (await this.later(`read the history of key "${key}"`));
    return state
      .history(key)
      .slice(-limit)
      .reverse()
      .map((item) => toStoredHistory(key, item));
  }

  async getVersion(key: string, version: bigint): Promise<StoredHistoryEntry | undefined> {
    assertKey(key);
    assertVersion(version);
    const state = this.now() ?? (await this.later(`read a version of key "${key}"`));
    const found = state.history(key).find((item) => item.version === version);
    return found === undefined ? undefined : toStoredHistory(key, found);
  }

  async revision(): Promise<bigint> {
    const state = this.now() ?? (await this.later('read the revision'));
    return state.changes.revision;
  }

  async openFeed({ prefix, fromRevision }: { prefix: string; fromRevision?: bigint }): Promise<ChangeFeed> {
    assertBound(prefix, 'prefix');
    if (fromRevision !== undefined) assertVersion(fromRevision, 'fromRevision');
    const state = this.now() ?? (await this.later('watch changes'));
    return state.changes.open(prefix, fromRevision);
  }

  async lease(key: string, options: AdapterLeaseOptions): Promise<KvLease> {
    assertKey(key);
    const operation = `lease "${key}"`;
    if (this.now() === undefined) await this.later(operation);
    const { state, leases } = this.opened!;
    const lease = await leases.acquire(key, options);
    try {
      // A token that a restart could give out again would not fence anything off.
      await naming(operation, async () => this.save(state), key);
    } catch (error) {
      await lease.release();
      throw error;
    }
    return lease;
  }
}

function remove(state: LocalState, key: string, recordHistory: boolean, now: number): boolean {
  const live = state.get(key, now) !== undefined;
  if (live) state.delete(key, recordHistory, now);
  return live;
}
