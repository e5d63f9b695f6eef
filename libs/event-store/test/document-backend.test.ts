import { InvalidArgumentError, UnsupportedOperationError, type JsonObject } from '@nestbox/core';
import { NotFoundError, PartitionNotFoundError } from '../src/event-store.errors.js';
import { DEFAULT_PARTITION } from '../src/event.types.js';
import { parseFilter } from '../src/documents/filter.js';
import { DOCUMENT_BACKENDS, freshName, keyOf, store, type OpenBackend } from './support/document-backends.js';

const EVERYTHING = parseFilter(undefined);

describe.each(DOCUMENT_BACKENDS)('documents in $name', ({ open }) => {
  let opened: OpenBackend;
  let backend: OpenBackend['backend'];
  let documents: OpenBackend['backend']['documents'];
  let name: string;

  beforeAll(async () => {
    opened = await open();
    ({ backend } = opened);
    ({ documents } = backend);
  });

  afterAll(() => opened.close());

  beforeEach(async () => {
    name = freshName();
    await documents.ensure({ name, indexes: ['status', 'customer.city'], indexAll: true });
  });

  const read = async (id: string, partition?: string) =>
    (await documents.getMany(name, [keyOf(id, partition)]))[0];
  const idsIn = async (table: string, partition = DEFAULT_PARTITION) =>
    (await documents.find(table, partition, EVERYTHING)).map(({ id }) => id);

  it('are kept when the collection is ensured again, with more indexes', async () => {
    await store(opened, name, { a: { n: 1 } });
    await documents.ensure({ name, indexes: ['customer', 'status', 'city.customer'], indexAll: false });
    expect(await read('a')).toEqual({ id: 'a', data: { n: 1 }, version: 1n });
  });

  it('have versions that start at 1, grow by 1, and start again after a deletion', async () => {
    for (const n of [1, 2, 3]) {
      await store(opened, name, { a: { n } });
      expect(await read('a')).toEqual({ id: 'a', data: { n }, version: BigInt(n) });
    }
    await store(opened, name, { a: null });
    expect(await read('a')).toBeUndefined();
    await store(opened, name, { a: {} });
    expect(await read('a')).toEqual({ id: 'a', data: {}, version: 1n });
  });

  it('are locked and read in the order that was asked for, repeated and absent keys included', async () => {
    await store(opened, name, { b: { n: 2 }, a: { n: 1 } });
    const keys = ['c', 'a', 'b', 'a', 'c'].map((id) => keyOf(id));
    const a = { id: 'a', data: { n: 1 }, version: 1n };
    const b = { id: 'b', data: { n: 2 }, version: 1n };
    expect(await documents.getMany(name, keys)).toEqual([undefined, a, b, a, undefined]);
    const locked = await backend.transaction(() => documents.lock(name, keys));
    expect(locked).toEqual([undefined, a, b, a, undefined]);
    expect(await backend.transaction(() => documents.lock(name, keys, true))).toEqual(locked);
    expect(await idsIn(name)).toEqual(['a', 'b']);
    expect(await documents.getMany(name, [])).toEqual([]);
    expect(await backend.transaction(() => documents.lock(name, []))).toEqual([]);
  });

  it('are written, replaced and deleted in one call, and read by the transaction that did it', async () => {
    await store(opened, name, { kept: {}, replaced: { old: true }, deleted: {} });
    await backend.transaction(async () => {
      const keys = ['replaced', 'deleted', 'new', 'never'].map((id) => keyOf(id));
      await documents.lock(name, keys);
      await documents.write(name, [
        { ...keyOf('replaced'), data: { old: false } },
        { ...keyOf('deleted'), data: null },
        { ...keyOf('new'), data: { n: 1 } },
        { ...keyOf('never'), data: null },
      ]);
      await documents.write(name, []);
      expect(await documents.lock(name, keys)).toEqual([
        { id: 'replaced', data: { old: false }, version: 2n },
        undefined,
        { id: 'new', data: { n: 1 }, version: 1n },
        undefined,
      ]);
    });
    expect(await idsIn(name)).toEqual(['kept', 'new', 'replaced']);
  });

  it('come back as they were, whatever JSON and ids hold', async () => {
    const data: JsonObject = {
      '': [],
      "quo'te": 'a "quoted" \\ {text}, $1',
      number: 1e-7,
      big: 2 ** 60,
      deep: [[{ a: [null, true, {}] }]],
      ['__proto__']: { x: 1 },
      emoji: '🦊\u{d7ff}',
    };
    const ids = ["it's", 'a"b\\c', '{x,y}', 'NULL', ' ', '🦊', '\n'];
    await store(opened, name, Object.fromEntries(ids.map((id) => [id, data])));
    const found = await documents.getMany(
      name,
      ids.map((id) => keyOf(id)),
    );
    expect(found).toEqual(ids.map((id) => ({ id, data, version: 1n })));
    expect(Object.hasOwn(found[0]!.data, '__proto__')).toBe(true);
  });

  it('that JSON cannot hold are refused with the path', async () => {
    const bad = { list: [1, Object(new Date())] };
    await expect(store(opened, name, { a: bad })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      path: 'document.list[1]',
    });
    expect(await read('a')).toBeUndefined();
  });

  it('are in the order of their ids by UTF-8 bytes', async () => {
    const ids = ['b', 'a', 'B', '🦊', '\uffff', 'ä', 'aa'];
    await store(opened, name, Object.fromEntries(ids.map((id) => [id, {}])));
    expect(await idsIn(name)).toEqual(['B', 'a', 'aa', 'b', 'ä', '\uffff', '🦊']);
  });

  it('are counted, and cleared in one partition or in all', async () => {
    await backend.createPartition(`p ${name}`);
    await store(opened, name, { a: { n: 1 }, b: { n: 2 }, c: { n: 3 } });
    await store(opened, name, { a: { n: 1 }, d: { n: 1 } }, `p ${name}`);
    expect(await documents.count(name, DEFAULT_PARTITION, EVERYTHING)).toBe(3);
    expect(await documents.count(name, DEFAULT_PARTITION, parseFilter<JsonObject>({ n: { $gt: 1 } }))).toBe(
      2,
    );
    await documents.clear(name, DEFAULT_PARTITION);
    expect(await documents.count(name, DEFAULT_PARTITION, EVERYTHING)).toBe(0);
    expect(await idsIn(name, `p ${name}`)).toEqual(['a', 'd']);
    await store(opened, name, { e: {} });
    await documents.clear(name, undefined);
    expect([await idsIn(name), await idsIn(name, `p ${name}`)]).toEqual([[], []]);
  });

  it('of different partitions do not meet, made before or after the collection, nor outlive them', async () => {
    const partition = `Ein 'Mandant' \\ ${name}`;
    expect(await backend.createPartition(partition)).toBe(true);
    const later = freshName();
    await documents.ensure({ name: later, indexes: ['n'], indexAll: false });
    for (const table of [name, later]) {
      await store(opened, table, { a: { n: 1 } }, partition);
      await store(opened, table, { a: { n: 2 }, b: {} });
      const both = await documents.getMany(table, [keyOf('a'), keyOf('a', partition), keyOf('b', partition)]);
      expect(both.map((each) => each?.data)).toEqual([{ n: 2 }, { n: 1 }, undefined]);
      expect(await idsIn(table, partition)).toEqual(['a']);
    }
    expect(await backend.dropPartition(partition)).toBe(true);
    expect(await backend.dropPartition(partition)).toBe(false);
    expect(await idsIn(name, partition)).toEqual([]);
    expect(await idsIn(name)).toEqual(['a', 'b']);
    expect(await backend.createPartition(partition)).toBe(true);
    expect([await idsIn(name, partition), await idsIn(later, partition)]).toEqual([[], []]);
  });

  it('of several partitions are locked and written in one call', async () => {
    const other = `other ${name}`;
    await backend.createPartition(other);
    const keys = [keyOf('b', other), keyOf('a'), keyOf('a', other)];
    await backend.transaction(async () => {
      expect(await documents.lock(name, keys)).toEqual([undefined, undefined, undefined]);
      await documents.write(
        name,
        keys.map((key, n) => ({ ...key, data: { n } })),
      );
    });
    const locked = await backend.transaction(() => documents.lock(name, keys));
    expect(locked.map((each) => each?.data)).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
  });

  it('are refused where there is no partition, and none are found there', async () => {
    const key = keyOf('a', 'nowhere');
    const failed = [
      backend.transaction(() => documents.lock(name, [key])),
      backend.transaction(() => documents.write(name, [{ ...key, data: {} }])),
    ];
    for (const result of await Promise.allSettled<unknown>(failed)) {
      expect(result).toMatchObject({ status: 'rejected', reason: expect.any(PartitionNotFoundError) });
      expect(result).toMatchObject({ reason: { partition: 'nowhere' } });
    }
    expect(await read('a', 'nowhere')).toBeUndefined();
    expect(await documents.count(name, 'nowhere', EVERYTHING)).toBe(0);
  });

  it('of a collection that is not there are an error that names it', async () => {
    const missing = `no ${name}`;
    const change = { ...keyOf('a'), data: {} };
    const failed = [
      documents.getMany(missing, [change]),
      documents.find(missing, DEFAULT_PARTITION, EVERYTHING),
      documents.count(missing, DEFAULT_PARTITION, EVERYTHING),
      documents.clear(missing, undefined),
      backend.transaction(() => documents.lock(missing, [change])),
      backend.transaction(() => documents.write(missing, [change])),
      backend.transaction(() => documents.freeze([missing])),
      backend.transaction(() => documents.freeze([name, missing])),
    ];
    for (const each of await Promise.allSettled(failed)) {
      const { reason } = each as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(NotFoundError);
      expect(reason).toMatchObject({ what: 'collection', id: missing });
    }
  });

  it('are locked, written, frozen and exchanged in transactions only', async () => {
    const failed = [
      documents.lock(name, [keyOf('a')]),
      documents.write(name, [{ ...keyOf('a'), data: {} }]),
      documents.freeze([name]),
      documents.swap([name]),
    ];
    for (const each of await Promise.allSettled(failed)) {
      expect((each as PromiseRejectedResult).reason).toBeInstanceOf(UnsupportedOperationError);
    }
  });

  it('of a shadow take the place of the others when they are exchanged, in all partitions', async () => {
    const before = `before ${name}`;
    const during = `during ${name}`;
    const after = `after ${name}`;
    const shadow = documents.shadowName(name);
    await backend.createPartition(before);
    await documents.ensure({ name: shadow, indexes: ['status'], indexAll: true });
    await backend.createPartition(during);
    for (const partition of [DEFAULT_PARTITION, before, during]) {
      await store(opened, name, { a: { old: true }, b: {} }, partition);
      await store(opened, shadow, { a: { old: false } }, partition);
    }
    await backend.transaction(async () => {
      await documents.freeze([name]);
      await documents.swap([name]);
    });
    await backend.createPartition(after);
    await store(opened, name, { c: {} }, after);
    for (const partition of [DEFAULT_PARTITION, before, during]) {
      expect(await read('a', partition)).toEqual({ id: 'a', data: { old: false }, version: 1n });
      expect(await idsIn(name, partition)).toEqual(['a']);
    }
    expect(await idsIn(name, after)).toEqual(['c']);
    await expect(documents.count(shadow, DEFAULT_PARTITION, EVERYTHING)).rejects.toBeInstanceOf(
      NotFoundError,
    );

    await documents.ensure({ name: shadow, indexes: [], indexAll: false });
    await backend.transaction(() => documents.swap([name]));
    expect(await idsIn(name)).toEqual([]);
    expect(await backend.dropPartition(before)).toBe(true);
  });

  it('are not lost when there is no shadow to exchange them with, or the exchange is rolled back', async () => {
    await store(opened, name, { a: {} });
    const failed = backend.transaction(() => documents.swap([name]));
    await expect(failed).rejects.toMatchObject({ code: 'NOT_FOUND', id: documents.shadowName(name) });
    expect(await idsIn(name)).toEqual(['a']);

    await documents.ensure({ name: documents.shadowName(name), indexes: [], indexAll: false });
    const undone = backend.transaction(async () => {
      await documents.swap([name]);
      expect(await idsIn(name)).toEqual([]);
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    expect(await idsIn(name)).toEqual(['a']);
  });

  it('go with the collections that are dropped', async () => {
    const second = freshName();
    await documents.ensure({ name: second, indexes: [], indexAll: false });
    await store(opened, name, { a: {} });
    await documents.drop([name, second, 'never there']);
    await expect(documents.count(name, DEFAULT_PARTITION, EVERYTHING)).rejects.toBeInstanceOf(NotFoundError);
    await documents.ensure({ name, indexes: ['status'], indexAll: true });
    expect(await idsIn(name)).toEqual([]);
  });

  it('are not written by a transaction that failed', async () => {
    const failed = backend.transaction(async () => {
      await documents.write(name, [{ ...keyOf('a'), data: {} }]);
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    expect(await read('a')).toBeUndefined();
  });

  it('of a savepoint that failed are as they were before it', async () => {
    await store(opened, name, { a: { n: 1 } });
    await backend.transaction(async () => {
      const failed = backend.transaction(async () => {
        await documents.lock(name, [keyOf('a'), keyOf('b')]);
        await documents.write(name, [
          { ...keyOf('a'), data: { n: 2 } },
          { ...keyOf('b'), data: { n: 2 } },
        ]);
        throw new Error('no');
      });
      await expect(failed).rejects.toThrow('no');
      expect(await documents.lock(name, [keyOf('a'), keyOf('b')])).toEqual([
        { id: 'a', data: { n: 1 }, version: 1n },
        undefined,
      ]);
    });
  });

  it('have a quoted table', () => {
    expect(documents.quoted('my "carts"')).toMatch(/"my ""carts"""$/);
    expect(() => documents.quoted('x'.repeat(64))).toThrow(InvalidArgumentError);
  });
});
