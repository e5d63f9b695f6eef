/// <reference types="jest" />
import { compareUtf8 } from '@nestbox/core';
import type { EntriesOptions, KeyValueStore, ListOptions } from '@nestbox/kv';
import fc from 'fast-check';
import { collect, numbers, type KvSuite } from './subject.js';

async function pages(store: KeyValueStore, options: ListOptions): Promise<string[][]> {
  const read: string[][] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list({ ...options, cursor });
    read.push(page.entries.map(({ key }) => key));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return read;
}

/** What a listing has to give, by its definition. */
function expected(
  keys: readonly string[],
  { prefix = '', start, end, reverse = false }: ListOptions,
): string[] {
  const found = keys
    .filter((key) => key.startsWith(prefix))
    .filter((key) => start === undefined || compareUtf8(key, start) >= 0)
    .filter((key) => end === undefined || compareUtf8(key, end) < 0)
    .sort(compareUtf8);
  return reverse ? found.reverse() : found;
}

/** Few characters, so that keys are near to each other; of every length in UTF-8, and some with a meaning in patterns. */
const text = fc.string({
  unit: fc.constantFrom('a', 'b', 'B', '%', '_', '*', ':', 'é', '\uffee', '🦊'),
  maxLength: 4,
});
const key = text.filter((name) => name !== '');
const selector = fc.record(
  { prefix: text, start: text, end: text, reverse: fc.boolean() },
  { requiredKeys: [] },
);

export function listing(suite: KvSuite): void {
  describe('list', () => {
    it('gives what the bounds say, in byte order, whatever the keys are', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(key, { maxLength: 25 }),
          fc.array(selector, { minLength: 4, maxLength: 4 }),
          fc.integer({ min: 1, max: 6 }),
          async (keys, selectors, limit) => {
            const { store } = await suite.scene();
            await store.setMany(keys.map((name) => [name, name]));
            for (const options of selectors) {
              const all = expected(keys, options);
              const read = await pages(store, { ...options, limit });
              expect(read.flat()).toEqual(all);
              // Full pages, and none in vain.
              expect(read.map(({ length }) => length)).toEqual(
                numbers(Math.max(1, Math.ceil(all.length / limit))).map((i) =>
                  Math.min(limit, all.length - i * limit),
                ),
              );
              const entries = await collect(store.entries({ ...options, batchSize: limit }));
              expect(entries.map(({ key: name }) => name)).toEqual(all);
            }
          },
        ),
        { numRuns: 25 },
      );
    });

    it('gives whole entries', async () => {
      const { store } = await suite.scene();
      await store.set('a', { x: 1 }, { ttl: '1h' });
      const { entries, cursor } = await store.list();
      expect(entries).toEqual([await store.entry('a')]);
      expect(Object.keys(entries[0]!).sort()).toEqual(
        ['createdAt', 'expiresAt', 'key', 'updatedAt', 'value', 'version'].sort(),
      );
      expect(cursor).toBeUndefined();
    });

    it('reads on from a cursor while entries come and go', async () => {
      const { store } = await suite.scene();
      await store.setMany(['a', 'b', 'c', 'd', 'e'].map((name) => [name, 1]));
      const first = await store.list({ limit: 2 });
      await store.deleteMany(['b', 'c']);
      await store.setMany({ aa: 1, ca: 1 });
      const second = await store.list({ limit: 2, cursor: first.cursor });
      expect(second.entries.map((entry) => entry.key)).toEqual(['ca', 'd']);
      await store.clear();
      expect(await store.list({ cursor: second.cursor })).toEqual({ entries: [], cursor: undefined });
    });

    it('refuses a cursor that it did not give', async () => {
      const { store } = await suite.scene();
      await store.setMany({ a: 1, b: 2, c: 3 });
      const { cursor } = await store.list({ limit: 1 });
      const refused = { code: 'INVALID_ARGUMENT', path: 'cursor' };
      await expect(store.list({ cursor, reverse: true })).rejects.toMatchObject(refused);
      const { cursor: reversed } = await store.list({ limit: 1, reverse: true });
      await expect(store.list({ cursor: reversed })).rejects.toMatchObject(refused);
      for (const bad of ['', 'a', 'YQ', '%', ' '.repeat(10), 5 as never]) {
        await expect(store.list({ cursor: bad })).rejects.toMatchObject(refused);
      }
    });

    it('refuses bad bounds and limits', async () => {
      const { store, adapter } = await suite.scene();
      for (const limit of [0, -1, 1.5, NaN, '10' as never]) {
        await expect(store.list({ limit })).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          path: 'limit',
        });
        await expect(adapter.list({ limit })).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          path: 'limit',
        });
      }
      for (const bound of ['prefix', 'start', 'end'] as const) {
        for (const bad of ['a\0', '\ud83e', 7 as never]) {
          const refused = { code: 'INVALID_ARGUMENT', path: bound };
          await expect(store.list({ [bound]: bad })).rejects.toMatchObject(refused);
          await expect(collect(store.entries({ [bound]: bad }))).rejects.toMatchObject(refused);
          await expect(adapter.list({ [bound]: bad, limit: 1 })).rejects.toMatchObject(refused);
        }
      }
    });
  });

  describe('entries', () => {
    it('stops at its limit, and when nobody reads on', async () => {
      const { store } = await suite.scene();
      await store.setMany(numbers(25).map((i) => [String(i + 10), i]));
      const read = async (options: EntriesOptions) =>
        (await collect(store.entries<number>(options))).map(({ value }) => value);
      expect(await read({ batchSize: 10 })).toEqual(numbers(25));
      expect(await read({ batchSize: 10, limit: 12 })).toEqual(numbers(12));
      expect(await read({ batchSize: 10, limit: 10, reverse: true })).toEqual(numbers(10).map((i) => 24 - i));
      expect((await collect(store.entries({ batchSize: 1 }), 2)).map(({ value }) => value)).toEqual([0, 1]);
      await expect(read({ limit: 0 })).rejects.toMatchObject({ path: 'limit' });
      await expect(read({ batchSize: 0 })).rejects.toMatchObject({ path: 'batchSize' });
    });
  });

  describe('stats', () => {
    it('counts the entries and says what they occupy', async () => {
      const { store } = await suite.scene();
      expect((await store.stats()).count).toBe(0);
      await store.setMany(numbers(20).map((i) => [`key ${i}`, 'x'.repeat(1000)]));
      const { count, size, bytes } = await store.stats();
      expect(count).toBe(20);
      expect(bytes).toBeGreaterThan(0);
      expect(size).toMatch(/^\d+(\.\d)? (B|kB|MB|GB|TB|PB)$/);
    });
  });

  if (!suite.capabilities.query) {
    it('says that it cannot query values', async () => {
      const { store } = await suite.scene();
      await expect(store.query({ contains: { a: 1 } })).rejects.toMatchObject({
        code: 'UNSUPPORTED_OPERATION',
      });
    });
    return;
  }

  describe('query', () => {
    const values: Record<string, unknown> = {
      ann: { name: 'Ann', roles: ['admin', 'user'], address: { city: 'Oslo', zip: 1 } },
      bob: { name: 'Bob', roles: ['user'], address: { city: 'Rome', zip: 2 } },
      cat: { name: 'Cat', roles: [], address: null },
      list: [1, [2, 3], { a: 1, b: 2 }, 'x', null],
      number: 1,
      text: 'x',
      nothing: null,
      empty: {},
      truth: true,
      'odd "key\'': { "it's": ['%', '\\'] },
    };

    it.each<[unknown, string[]]>([
      [{ roles: ['user'] }, ['ann', 'bob']],
      [{ roles: ['user', 'user', 'admin'] }, ['ann']],
      [{ roles: [] }, ['ann', 'bob', 'cat']],
      [{ roles: 'user' }, []],
      [{ address: { city: 'Rome' } }, ['bob']],
      [{ address: null }, ['cat']],
      [{ address: {} }, ['ann', 'bob']],
      [{}, ['ann', 'bob', 'cat', 'empty', 'odd "key\'']],
      [[], ['list']],
      [[1], ['list']],
      [[[2]], ['list']],
      [[2], []],
      [[{ a: 1 }], ['list']],
      [[{}], ['list']],
      [[[]], ['list']],
      [1, ['list', 'number']],
      ['x', ['list', 'text']],
      [null, ['list', 'nothing']],
      [true, ['truth']],
      [{ "it's": ['%'] }, ['odd "key\'']],
      [{ "it's": ['\\'] }, ['odd "key\'']],
      [{ name: 'Dan' }, []],
    ])('finds the values that contain %j', async (contains, found) => {
      const { store } = await suite.scene();
      await store.setMany(values);
      const { entries, cursor } = await store.query({ contains });
      expect(entries.map((entry) => entry.key)).toEqual(found);
      for (const entry of entries) expect(entry.value).toEqual(values[entry.key]);
      expect(cursor).toBeUndefined();
    });

    it('gives pages', async () => {
      const { store } = await suite.scene();
      await store.setMany(numbers(10).map((i) => [`key ${i}`, { even: i % 2 === 0 }]));
      const first = await store.query({ contains: { even: true }, limit: 2 });
      expect(first.entries.map((entry) => entry.key)).toEqual(['key 0', 'key 2']);
      const second = await store.query({ contains: { even: true }, limit: 3, cursor: first.cursor });
      expect(second.entries.map((entry) => entry.key)).toEqual(['key 4', 'key 6', 'key 8']);
      expect(second.cursor).toBeUndefined();
      const some = await store.query({ contains: { even: true }, prefix: 'key 6' });
      expect(some.entries.map((entry) => entry.key)).toEqual(['key 6']);
      const { cursor } = await store.list({ limit: 1 });
      await expect(store.query({ contains: {}, cursor })).rejects.toMatchObject({ path: 'cursor' });
    });

    it('refuses what JSON cannot hold', async () => {
      const { store } = await suite.scene();
      for (const contains of [undefined, 1n, { a: new Date() }, { a: 'x\0' }]) {
        await expect(store.query({ contains })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      }
    });
  });
}
