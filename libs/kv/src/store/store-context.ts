import { InvalidArgumentError, KeyedMutex, encodeJson, parseDuration } from '@nestbox/core';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Flight } from './get-or-set.js';
import type { AdapterSetOptions, ExpectedVersion, Expiry, KvAdapter, StoredEntry } from '../kv.adapter.js';
import type { Namespace } from './namespace.js';
import type { Entry, KeyValueStoreOptions, TimeToLive } from '../kv.types.js';

/** A write inside a transaction waits no longer for a watch: the transaction may hold the connection it needs. */
const WATCH_WAIT_IN_TRANSACTION_MS = 1000;

/** What a store and its namespaces have in common. Keys are the backend's. */
export class SharedState {
  /** Updates of one key, one after the other. */
  readonly updates = new KeyedMutex();
  /** The updates inside which the caller runs. */
  readonly updating = new AsyncLocalStorage<RunningUpdate>();
  /** Computations of `getOrSet` under way. */
  readonly flights = new Map<string, Flight>();
  /** The computations inside which the caller runs. */
  readonly computing = new AsyncLocalStorage<Flight>();
  /** Watches that are not sure yet to see the next change. None of them rejects. */
  readonly startingWatches = new Set<Promise<void>>();
}

export interface RunningUpdate {
  key: string;
  running: boolean;
  /** The updates whose functions called this one. */
  around: RunningUpdate[];
}

/** What the parts of a store work with. */
export class StoreContext {
  readonly defaultTtl: number | undefined;
  /** Given with each write. */
  readonly recording: { recordHistory: boolean };

  constructor(
    readonly adapter: KvAdapter,
    readonly space: Namespace,
    readonly shared: SharedState,
    options: Pick<KeyValueStoreOptions, 'enableVersioning' | 'ttl'>,
  ) {
    this.defaultTtl = options.ttl === undefined ? undefined : parseDuration(options.ttl, 'ttl');
    this.recording = { recordHistory: options.enableVersioning ?? false };
  }

  get inTransaction(): boolean {
    return this.adapter.inTransaction ?? false;
  }

  /** The expiry of an entry that is set anew. */
  expiry(ttl: TimeToLive | undefined, path = 'ttl'): Expiry {
    if (ttl === null) return 'never';
    if (ttl !== undefined) return { ttl: parseDuration(ttl, path) };
    return this.defaultTtl === undefined ? 'never' : { ttl: this.defaultTtl };
  }

  /** What an entry is set with. Not spread from `recording`, which costs more than all else in a `set`. */
  setOptions(ttl: TimeToLive | undefined, ifVersion: ExpectedVersion | undefined): AdapterSetOptions {
    return { recordHistory: this.recording.recordHistory, expiry: this.expiry(ttl), ifVersion };
  }

  /**
   * Makes a change of some keys, once every watch that was started before it is sure to see it.
   *
   * @param keys those whose computations under way must not overwrite the change; undefined for all
   */
  async write<R>(keys: readonly string[] | undefined, fn: () => Promise<R>): Promise<R> {
    this.forgetFlights(keys);
    if (this.shared.startingWatches.size > 0) await this.watchesStarted();
    return this.space.run(fn);
  }

  /** The value as the backend may have it: itself, or a copy where the write has to wait. */
  detached(value: unknown, path = 'value'): unknown {
    return this.shared.startingWatches.size === 0 ? value : (JSON.parse(encodeJson(value, path)) as unknown);
  }

  toEntry<V>(stored: StoredEntry): Entry<V> {
    return {
      key: this.space.local(stored.key),
      value: stored.value as V,
      version: stored.version,
      createdAt: stored.createdAt,
      updatedAt: stored.updatedAt,
      expiresAt: stored.expiresAt,
    };
  }

  private forgetFlights(keys: readonly string[] | undefined): void {
    const { flights } = this.shared;
    if (flights.size === 0) return;
    for (const key of keys ?? [...flights.keys()].filter((flown) => flown.startsWith(this.space.prefix))) {
      const flight = flights.get(key);
      if (flight !== undefined) flight.outdated = true;
      flights.delete(key);
    }
  }

  private async watchesStarted(): Promise<void> {
    const started = Promise.all(this.shared.startingWatches);
    if (!this.inTransaction) {
      await started;
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      started,
      new Promise((resolve) => (timer = setTimeout(resolve, WATCH_WAIT_IN_TRANSACTION_MS))),
    ]);
    clearTimeout(timer);
  }
}

/** @throws InvalidArgumentError unless it is a function */
export function assertFunction(fn: unknown, path: string): void {
  if (typeof fn !== 'function') throw new InvalidArgumentError(path, `must be a function, not ${typeof fn}.`);
}
