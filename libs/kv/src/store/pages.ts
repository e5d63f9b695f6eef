import type { JsonValue } from '@nestbox/core';
import { assertBound, assertLimit } from '../adapter-support.js';
import { decodeCursor, encodeCursor, type CursorKind } from './cursor.js';
import type { KeyRange, StoredEntry } from '../kv.adapter.js';
import type { StoreContext } from './store-context.js';
import type { EntriesOptions, Entry, ListOptions, Page, QueryOptions, Selector } from '../kv.types.js';

const DEFAULT_LIMIT = 1000;
/** More than any store has; backends count in 32 bits. */
const MAX_LIMIT = 2 ** 31 - 2;

/** A page of entries in key order. */
export async function list<V>(context: StoreContext, options: ListOptions): Promise<Page<V>> {
  const { limit = DEFAULT_LIMIT, cursor, reverse = false } = options;
  return readPage(context, reverse ? 'reverse' : 'forward', limit, cursor, (after, count) =>
    context.adapter.list(toRange(context, options, after, count)),
  );
}

/** A page of the entries whose value contains a part. */
export async function query<V>(context: StoreContext, options: QueryOptions): Promise<Page<V>> {
  const { contains, prefix, limit = DEFAULT_LIMIT, cursor } = options;
  // The adapter checks that it is JSON.
  const part = contains as JsonValue;
  return readPage(context, 'query', limit, cursor, (after, count) =>
    context.adapter.query(part, toRange(context, { prefix }, after, count)),
  );
}

/** All entries of a selection, read batch by batch. */
export async function* entries<V>(
  context: StoreContext,
  { limit = Infinity, batchSize = 500, ...selector }: EntriesOptions,
): AsyncGenerator<Entry<V>, void, undefined> {
  if (limit !== Infinity) assertLimit(limit);
  assertLimit(batchSize, 'batchSize');
  let after: string | undefined;
  let remaining = limit;
  while (remaining > 0) {
    const count = Math.min(batchSize, remaining);
    const batch = await context.adapter.list(toRange(context, selector, after, count));
    for (const stored of batch) yield context.toEntry<V>(stored);
    if (batch.length < count) return;
    after = batch.at(-1)!.key;
    remaining -= batch.length;
  }
}

async function readPage<V>(
  context: StoreContext,
  kind: CursorKind,
  limit: number,
  cursor: string | undefined,
  read: (after: string | undefined, count: number) => Promise<StoredEntry[]>,
): Promise<Page<V>> {
  assertLimit(limit);
  const after = cursor === undefined ? undefined : context.space.outer(decodeCursor(kind, cursor), 'cursor');
  // One more than asked for tells whether there is a next page.
  const found = await read(after, Math.min(limit, MAX_LIMIT) + 1);
  const page = found.slice(0, limit).map((stored) => context.toEntry<V>(stored));
  return {
    entries: page,
    cursor: found.length > limit ? encodeCursor(kind, page.at(-1)!.key) : undefined,
  };
}

/** The backend's range; the prefix confines it to the namespace, whatever the other bounds are. */
function toRange(
  { space }: StoreContext,
  { prefix, start, end, reverse = false }: Selector,
  after: string | undefined,
  limit: number,
): KeyRange {
  assertBound(prefix, 'prefix');
  assertBound(start, 'start');
  assertBound(end, 'end');
  return {
    prefix: space.prefix + (prefix ?? ''),
    ...(start === undefined ? undefined : { start: space.prefix + start }),
    ...(end === undefined ? undefined : { end: space.prefix + end }),
    ...(after === undefined ? undefined : { after }),
    reverse,
    limit,
  };
}
