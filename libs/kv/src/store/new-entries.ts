import { InvalidArgumentError, assertJson } from '@nestbox/core';
import type { Expiry } from '../kv.adapter.js';
import type { StoreContext } from './store-context.js';
import type { NewEntries, NewEntry } from '../kv.types.js';

interface EntryToStore {
  key: string;
  value: unknown;
  expiry: Expiry;
}

/** The entries in the one form that adapters take, checked. */
export function toNewEntries<V>(context: StoreContext, entries: NewEntries<V>): EntryToStore[] {
  if (typeof entries !== 'object' || entries === null) {
    throw new InvalidArgumentError('entries', 'must be a Map, an object, or a list of entries.');
  }
  if (!isIterable(entries)) {
    // Plain objects name their values, so an error had better too.
    return Object.entries(entries).map(([key, value]) =>
      toStore(context, { key, value }, `entries[${JSON.stringify(key)}]`),
    );
  }
  return Array.from(entries, (entry, i) =>
    toStore(context, asEntry(entry, `entries[${i}]`), `entries[${i}]`),
  );
}

function toStore<V>(context: StoreContext, { key, value, ttl }: NewEntry<V>, path: string): EntryToStore {
  const outer = context.space.outer(key, `${path}.key`);
  assertJson(value, `${path}.value`);
  return {
    key: outer,
    value: context.detached(value, `${path}.value`),
    expiry: context.expiry(ttl, `${path}.ttl`),
  };
}

function asEntry<V>(entry: NewEntry<V> | readonly [string, V], path: string): NewEntry<V> {
  if (typeof entry !== 'object' || entry === null) {
    throw new InvalidArgumentError(path, 'must be { key, value, ttl? } or [key, value].');
  }
  return isPair(entry) ? { key: entry[0], value: entry[1] } : entry;
}

function isPair<V>(entry: NewEntry<V> | readonly [string, V]): entry is readonly [string, V] {
  return Array.isArray(entry);
}

function isIterable<V>(entries: NewEntries<V>): entries is Iterable<NewEntry<V> | readonly [string, V]> {
  return Symbol.iterator in entries;
}
