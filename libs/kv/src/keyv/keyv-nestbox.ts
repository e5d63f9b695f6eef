import { EventEmitter } from 'node:events';
import type { KeyValueStore } from '../key-value-store.js';
import type { TimeToLive } from '../kv.types.js';
import { fromKeyv, toKeyv } from './keyv-envelope.js';

/** Options of the storage adapter for Keyv. */
export interface KeyvNestboxOptions {
  /** Close the store when Keyv is disconnected. Default: false, since others may use it. */
  closeOnDisconnect?: boolean;
}

/**
 * A storage adapter for Keyv 5 and 6, and hence for cache-manager: `new Keyv({ store: new KeyvNestbox(store) })`.
 *
 * Entries are kept under `<namespace>:` of the store, and `clear` removes that namespace only; without one, it removes
 * all that the store has, so give it a store of its own: `store.namespace('cache')`. A failure rejects, which Keyv
 * reports by its `error` event (for `get`, Keyv 5 does so only with `throwOnErrors`).
 */
export class KeyvNestbox extends EventEmitter {
  /** Keyv sets it to its own. */
  namespace: string | undefined = undefined;
  /** Keyv 5 offers to iterate only where it knows the dialect; this one does nothing else. */
  readonly opts = { dialect: 'postgres' as const };
  private scope: { namespace: string | undefined; store: KeyValueStore } | undefined;

  constructor(
    private readonly store: KeyValueStore,
    private readonly options: KeyvNestboxOptions = {},
  ) {
    super();
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    return toKeyv(await this.scoped.get(key)) as Value | undefined;
  }

  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    const found = await this.scoped.getMany(keys);
    return keys.map((key) => toKeyv(found.get(key)) as Value | undefined);
  }

  /** @param ttl in ms; none, or 0, for an entry that does not expire */
  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    if (isOver(ttl)) await this.scoped.delete(key);
    else await this.scoped.set(key, fromKeyv(value), { ttl: toTimeToLive(ttl) });
    return true;
  }

  async setMany(entries: { key: string; value: unknown; ttl?: number }[]): Promise<void> {
    await this.scoped.setMany(
      entries
        .filter(({ ttl }) => !isOver(ttl))
        .map(({ key, value, ttl }) => ({ key, value: fromKeyv(value), ttl: toTimeToLive(ttl) })),
    );
    await this.scoped.deleteMany(entries.filter(({ ttl }) => isOver(ttl)).map(({ key }) => key));
    // Keyv 5 declares that nothing is returned, but gives its caller what is: a boolean for each entry.
    return entries.map(() => true) as never;
  }

  async has(key: string): Promise<boolean> {
    return this.scoped.has(key);
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    const found = await this.scoped.getMany(keys);
    return keys.map((key) => found.has(key));
  }

  async delete(key: string): Promise<boolean> {
    return this.scoped.delete(key);
  }

  /** True when all of them were there. */
  async deleteMany(keys: string[]): Promise<boolean> {
    return (await this.scoped.deleteMany(keys)) === new Set(keys).size;
  }

  async clear(): Promise<void> {
    await this.scoped.clear();
  }

  /** Every key with its value, as Keyv gave them. */
  async *iterator<Value>(): AsyncGenerator<(string | Awaited<Value> | undefined)[], void> {
    for await (const { key, value } of this.scoped.entries()) yield [key, toKeyv(value) as Awaited<Value>];
  }

  async disconnect(): Promise<void> {
    if (this.options.closeOnDisconnect === true) await this.store.close();
  }

  /** The store, or the part of it that belongs to Keyv's namespace. */
  private get scoped(): KeyValueStore {
    const { namespace, scope } = this;
    if (scope !== undefined && scope.namespace === namespace) return scope.store;
    const store =
      namespace === undefined || namespace === '' ? this.store : this.store.namespace<unknown>(namespace);
    this.scope = { namespace, store };
    return store;
  }
}

function isOver(ttl: number | undefined): boolean {
  return ttl !== undefined && ttl < 0;
}

/** Without a ttl, Keyv means an entry to stay, whatever the store's default is. */
function toTimeToLive(ttl: number | undefined): TimeToLive {
  return ttl === undefined || ttl === 0 ? null : ttl;
}
