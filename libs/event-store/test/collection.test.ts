import { InvalidArgumentError, type JsonObject, type JsonValue } from '@nestbox/core';
import { typedCodec } from '../src/codec/typed-codec.js';
import { Collection } from '../src/documents/collection.js';
import type { DocumentFilter, FindOptions } from '../src/documents/filter.js';
import { toData } from '../src/documents/document-codec.js';
import { EventStoreOperationError, NotFoundError } from '../src/event-store.errors.js';
import { DEFAULT_PARTITION } from '../src/event.types.js';
import { DOCUMENT_BACKENDS, freshName, store, type OpenBackend } from './support/document-backends.js';

interface Cart {
  status: 'open' | 'confirmed' | 'gone';
  total?: number;
  customer?: { name: string; city?: string | null };
  lines?: { sku: string; quantity: number }[];
  tags?: string[];
}

const CARTS = {
  a: { status: 'open', total: 10, customer: { name: 'Ann', city: 'Bern' }, tags: ['x', 'y'] },
  b: {
    status: 'confirmed',
    total: 5,
    customer: { name: 'Bob', city: null },
    lines: [{ sku: 's1', quantity: 2 }],
  },
  c: { status: 'open', total: 7.5, customer: { name: 'Cid' }, tags: [] },
  d: { status: 'gone' },
  e: {
    status: 'open',
    total: 10,
    lines: [
      { sku: 's1', quantity: 1 },
      { sku: 's2', quantity: 2 },
    ],
  },
} satisfies Record<string, Cart>;

describe.each(DOCUMENT_BACKENDS)('a collection in $name', ({ open }) => {
  let opened: OpenBackend;
  let carts: Collection<Cart>;

  const collectionOf = async <T extends object>(
    documents: Record<string, JsonObject>,
    codec?: typeof typedCodec,
  ): Promise<Collection<T>> => {
    const name = freshName();
    await opened.backend.documents.ensure({ name, indexes: [], indexAll: false });
    await store(opened, name, documents);
    return new Collection<T>(opened.backend.documents, name, DEFAULT_PARTITION, codec);
  };
  const idsOf = async (filter?: DocumentFilter<Cart>, options?: FindOptions<Cart>): Promise<string> =>
    (await carts.find(filter, options)).map(({ _id }) => _id).join('');

  beforeAll(async () => {
    opened = await open();
    carts = await collectionOf<Cart>(CARTS);
  });

  afterAll(() => opened.close());

  it('reads documents with their id, and a version that is no part of their JSON', async () => {
    const cart = await carts.get('a');
    expect(cart).toEqual({ _id: 'a', ...CARTS.a });
    expect(cart!._version).toBe(1n);
    expect(Object.keys(cart!)[0]).toBe('_id');
    expect(JSON.parse(JSON.stringify(cart))).toEqual({ _id: 'a', ...CARTS.a });
    expect(await carts.get('z')).toBeUndefined();
  });

  it('reads many documents in the order of the ids', async () => {
    const found = await carts.getMany(['c', 'z', 'a', 'c']);
    expect(found.map((each) => each?._id)).toEqual(['c', undefined, 'a', 'c']);
    expect(await carts.getMany([])).toEqual([]);
  });

  it.each<[string, DocumentFilter<Cart> | undefined]>([
    ['abcde', undefined],
    ['abcde', {}],
    ['ace', { status: 'open' }],
    ['a', { status: 'open', customer: { name: 'Ann' } }],
    ['a', { customer: { city: 'Bern' } }],
    ['a', { 'customer.city': 'Bern' }],
    ['b', { 'customer.city': null }],
    ['abc', { customer: {} }],
    ['a', { customer: { name: { $lt: 'Bob' } } }],
    ['a', { tags: ['x'] }],
    ['ac', { tags: [] }],
    ['c', { tags: { $eq: [] } }],
    ['be', { lines: [{ sku: 's1' } as never] }],
    ['e', { 'lines.0.quantity': 1 }],
    ['be', { 'lines.-1.quantity': 2 }],
    ['ae', { total: { $eq: 10 } }],
    ['bcd', { total: { $ne: 10 } }],
    ['ae', { total: { $gt: 7.5 } }],
    ['ace', { total: { $gte: 7.5 } }],
    ['b', { total: { $lt: 7.5 } }],
    ['bc', { total: { $lte: 7.5 } }],
    ['bc', { total: { $gte: 5, $lt: 10 } }],
    ['bd', { status: { $in: ['confirmed', 'gone'] } }],
    ['', { status: { $in: [] } }],
    ['bcd', { total: { $nin: [10, 11] } }],
    ['abcde', { total: { $nin: [] } }],
    ['d', { total: { $exists: false } }],
    ['ab', { 'customer.city': { $exists: true } }],
    ['', { total: { $gt: '1' as never } }],
    ['b', { _id: 'b' }],
    ['b', { _id: { $eq: 'b' } }],
    ['ae', { _id: { $in: ['e', 'z', 'a', 'a'] } }],
    ['a', { _id: { $in: ['a', 'b'] }, status: 'open' }],
    ['', { _id: { $in: [] } }],
  ])('finds %p by a filter', async (expected, filter) => {
    expect(await idsOf(filter)).toBe(expected);
    expect(await carts.count(filter)).toBe(expected.length);
  });

  it.each<[string, FindOptions<Cart>]>([
    ['abcde', { sort: '_id' }],
    ['edcba', { sort: { _id: 'desc' } }],
    ['bcaed', { sort: 'total' }],
    ['daecb', { sort: { total: 'desc' } }],
    ['bacde', { sort: 'customer.city' }],
    ['bdace', { sort: { status: 'asc' } }],
    ['bcae', { sort: 'total', limit: 4 }],
    ['da', { sort: { total: 'desc' }, limit: 2 }],
  ])('gives %p in order, and page by page', async (expected, options) => {
    expect(await idsOf(undefined, options)).toBe(expected);
    const { sort } = options;
    let cursor: string | undefined;
    let paged = '';
    do {
      const page = await carts.find({}, { ...(sort && { sort }), limit: 2, ...(cursor && { cursor }) });
      expect(page.length).toBeGreaterThan(0);
      paged += page.map(({ _id }) => _id).join('');
      ({ cursor } = page);
    } while (cursor !== undefined);
    expect(paged.startsWith(expected)).toBe(true);
    expect(paged.split('').sort().join('')).toBe('abcde');
    let all = '';
    for await (const { _id } of carts.all({}, { ...(sort && { sort }) })) all += _id;
    expect(all).toBe(paged);
  });

  it('orders values of all kinds as JSONB does', async () => {
    const values: JsonValue[] = [
      [],
      null,
      '',
      'a',
      'b',
      -1,
      0,
      1.5,
      false,
      true,
      ['a'],
      [[]],
      [{}],
      [1, 2],
      {},
      { a: null },
      { a: 1 },
      { b: 0 },
      // The shorter key comes first.
      { aa: 2, b: 1 },
      { aa: 1, b: 2 },
    ];
    const entries = values.map((value, i) => [`${(i * 7) % values.length}`, { value }] as const);
    const collection = await collectionOf<{ value: JsonValue }>({ ...Object.fromEntries(entries), none: {} });
    const sorted = await collection.find({}, { sort: 'value' });
    expect(sorted.map(({ value }) => value)).toEqual([...values, undefined]);
    const reversed = await collection.find({}, { sort: { value: 'desc' } });
    expect(reversed.map(({ value }) => value)).toEqual([undefined, ...values.toReversed()]);
  });

  it('gives a cursor only where there is more, beside an array that is like any other', async () => {
    const page = await carts.find({ status: 'open' }, { limit: 2 });
    expect(page).toEqual([
      { _id: 'a', ...CARTS.a },
      { _id: 'c', ...CARTS.c },
    ]);
    expect(Object.keys(page)).toEqual(['0', '1']);
    const { cursor } = page;
    const rest = await carts.find({ status: 'open' }, { limit: 2, cursor: cursor! });
    expect(rest.map(({ _id }) => _id)).toEqual(['e']);
    expect(rest.cursor).toBeUndefined();
    expect((await carts.find({ status: 'open' }, { limit: 3 })).cursor).toBeUndefined();
    expect((await carts.find()).cursor).toBeUndefined();
  });

  it('goes on behind a document that is no longer there', async () => {
    const collection = await collectionOf<{ n: number }>({ a: { n: 1 }, b: { n: 2 }, c: { n: 3 } });
    const { cursor } = await collection.find({}, { sort: 'n', limit: 2 });
    await store(opened, collection.name, { b: null });
    const rest = await collection.find({}, { sort: 'n', cursor: cursor! });
    expect(rest.map(({ _id }) => _id)).toEqual(['c']);
  });

  it('gives the first match, and all of more than one batch', async () => {
    expect((await carts.findOne({ status: 'open' }))?._id).toBe('a');
    expect((await carts.findOne({}, { sort: { total: 'desc' } }))?._id).toBe('d');
    expect(await carts.findOne({ total: { $gt: 100 } })).toBeUndefined();
    const many = Object.fromEntries(
      Array.from({ length: 1203 }, (_, i) => [String(i).padStart(4, '0'), { even: i % 2 === 0 }]),
    );
    const collection = await collectionOf<{ even: boolean }>(many);
    const ids: string[] = [];
    for await (const { _id } of collection.all({ even: true })) ids.push(_id);
    expect(ids).toEqual(
      Object.keys(many)
        .sort()
        .filter((id) => Number(id) % 2 === 0),
    );
  });

  it('reads one partition', async () => {
    const partition = `of ${carts.name}`;
    await opened.backend.createPartition(partition);
    await store(opened, carts.name, { a: { status: 'gone' }, z: { status: 'open' } }, partition);
    const other = carts.in(partition);
    expect((await other.find()).map(({ _id }) => _id)).toEqual(['a', 'z']);
    expect((await other.get('a'))?.status).toBe('gone');
    expect((await carts.get('a'))?.status).toBe('open');
    expect(await idsOf()).toBe('abcde');
    await opened.backend.dropPartition(partition);
    expect(await other.count()).toBe(0);
  });

  it('joins the transaction that it is called in', async () => {
    const failed = opened.backend.transaction(async () => {
      await opened.backend.documents.write(carts.name, [
        { partition: DEFAULT_PARTITION, id: 'new', data: { status: 'open' } },
      ]);
      expect(await carts.count()).toBe(6);
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    expect(await carts.count()).toBe(5);
  });

  it('finds by what a codec keeps as something else', async () => {
    interface Typed {
      at: Date;
      amount: bigint;
    }
    const dates = [new Date('2026-01-01'), new Date('2026-01-02'), new Date('2026-01-03')] as const;
    const typed = Object.fromEntries(
      dates.map((at, i) => [`d${i}`, toData({ at, amount: BigInt(i) }, typedCodec)]),
    );
    const collection = await collectionOf<Typed>(typed, typedCodec);
    expect(await collection.get('d1')).toEqual({ _id: 'd1', at: dates[1], amount: 1n });
    const find = async (filter: DocumentFilter<Typed>): Promise<string[]> =>
      (await collection.find(filter)).map(({ _id }) => _id);
    expect(await find({ at: dates[1] })).toEqual(['d1']);
    expect(await find({ at: { $gte: dates[1] } })).toEqual(['d1', 'd2']);
    expect(await find({ at: { $in: [dates[0], dates[2]] } })).toEqual(['d0', 'd2']);
    expect(await find({ amount: 2n })).toEqual(['d2']);
    await expect(collection.find({ at: { $in: [dates[0], (() => 0) as never] } })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      path: 'filter.at.$in[1]',
    });
  });

  it.each<[string, unknown, unknown?]>([
    ['filter', []],
    ['filter', 'open'],
    ['filter["$or"]', { $or: [] }],
    ['filter.status.$regex', { status: { $regex: 'x' } }],
    ['filter.status', { status: { $eq: 'x', plain: 1 } }],
    ['filter.status', { status: undefined }],
    ['filter.status.$gt', { status: { $gt: undefined } }],
    ['filter.status.$in', { status: { $in: 'open' } }],
    ['filter.status.$in[1]', { status: { $in: ['open', Number.NaN] } }],
    ['filter.status.$exists', { status: { $exists: 1 } }],
    ['filter.customer.at', { customer: { at: new Date() } }],
    ['filter["customer..name"]', { 'customer..name': 'Ann' }],
    ['filter["customer.name"]', { customer: { name: 'Ann' }, 'customer.name': 'Bob' }],
    ['filter.total', { total: 'NUL \0' }],
    ['filter._id', { _id: { $gt: 'a' } }],
    ['filter._id', { _id: 1 }],
    ['filter._id', { _id: '' }],
    ['filter._id.$in[0]', { _id: { $in: [1] } }],
    ['options', {}, 5],
    ['options.limit', {}, { limit: 0 }],
    ['options.limit', {}, { limit: 1.5 }],
    ['options.sort', {}, { sort: {} }],
    ['options.sort', {}, { sort: { status: 'asc', total: 'asc' } }],
    ['options.sort', {}, { sort: 'a..b' }],
    ['options.sort.status', {}, { sort: { status: 'up' } }],
    ['options.cursor', {}, { cursor: 'nonsense' }],
    ['options.cursor', {}, { cursor: 7 }],
    ['options.cursor', {}, { cursor: Buffer.from('["+total","a",10]').toString('base64url') }],
  ])('refuses what is wrong and names %s', async (path, filter, ...[options]) => {
    const error = await carts
      .find(filter as DocumentFilter<Cart>, options as FindOptions<Cart>)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as InvalidArgumentError).path).toBe(path);
  });

  it.each<[string, string, () => unknown]>([
    [
      'a name of the store itself',
      'name',
      () => new Collection(opened.backend.documents, 'emt_streams', 'p', undefined),
    ],
    [
      'a name of a rebuild',
      'name',
      () => new Collection(opened.backend.documents, 'carts__rebuild', 'p', undefined),
    ],
    [
      'a name that is too long',
      'name',
      () => new Collection(opened.backend.documents, 'x'.repeat(64), 'p', undefined),
    ],
    ['an empty name', 'name', () => new Collection(opened.backend.documents, '', 'p', undefined)],
    ['all partitions', 'partition', () => carts.in('*')],
    ['an empty id', 'id', () => carts.get('')],
    ['an id that is none', 'ids[1]', () => carts.getMany(['a', null as never])],
    ['ids that are no list', 'ids', () => carts.getMany('a' as never)],
  ])('refuses %s', async (_, path, call) => {
    const error = await Promise.resolve()
      .then(call)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect((error as InvalidArgumentError).path).toBe(path);
  });

  it('that nobody has made is an error, and so is a failure before reading', async () => {
    const missing = new Collection(opened.backend.documents, freshName(), DEFAULT_PARTITION, undefined);
    const calls = [missing.get('a'), missing.find(), missing.count(), missing.findOne()];
    for (const result of await Promise.allSettled<unknown>(calls)) {
      expect(result).toMatchObject({ status: 'rejected', reason: expect.any(NotFoundError) });
    }
    const cause = new Error('no database');
    const failing = new Collection(opened.backend.documents, carts.name, DEFAULT_PARTITION, undefined, () =>
      Promise.reject(cause),
    );
    await expect(failing.get('a')).rejects.toBeInstanceOf(EventStoreOperationError);
    await expect(failing.get('a')).rejects.toMatchObject({ cause });
  });
});
