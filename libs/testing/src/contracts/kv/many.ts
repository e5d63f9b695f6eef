/// <reference types="jest" />
import { numbers, type KvSuite } from './subject.js';

export function many(suite: KvSuite): void {
  describe('many at once', () => {
    it('takes objects, pairs, a Map or an object of values', async () => {
      const { store } = await suite.scene();
      await store.setMany([{ key: 'a', value: 1 }]);
      await store.setMany([['b', 2]]);
      await store.setMany(new Map([['c', 3]]));
      await store.setMany({ d: 4 });
      await store.setMany(
        (function* () {
          yield ['e', 5] as const;
          yield { key: 'f', value: 6 };
        })(),
      );
      expect(await store.getAll()).toEqual({ a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 });
      expect(await store.setMany([])).toEqual(new Map());
    });

    it('gives the new version of each key', async () => {
      const { store } = await suite.scene();
      await store.set('b', 1);
      expect(await store.setMany({ a: 1, b: 2 })).toEqual(
        new Map([
          ['a', 1n],
          ['b', 2n],
        ]),
      );
    });

    it('lets the last one count where a key comes twice', async () => {
      const { store, adapter, outer } = await suite.scene();
      expect(
        await store.setMany([
          ['a', 1],
          ['b', 2],
          ['a', 3],
        ]),
      ).toEqual(
        new Map([
          ['a', 1n],
          ['b', 1n],
        ]),
      );
      expect(await store.getAll()).toEqual({ a: 3, b: 2 });
      const twice = [1, 2].map((value) => ({ key: outer('a'), value }));
      expect(await adapter.setMany(twice)).toEqual(new Map([[outer('a'), 2n]]));
      expect(await store.get('a')).toBe(2);
      expect((await adapter.getEntries([outer('a'), outer('a')])).size).toBe(1);
      expect(await adapter.deleteMany([outer('a'), outer('a')])).toBe(1);
    });

    it('writes nothing when one of them is refused', async () => {
      const { store } = await suite.scene();
      await expect(
        store.setMany([
          ['a', 1],
          ['b', undefined],
        ]),
      ).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        path: 'entries[1].value',
      });
      await expect(
        store.setMany([
          ['a', 1],
          ['', 2],
        ]),
      ).rejects.toMatchObject({ path: 'entries[1].key' });
      await expect(store.setMany({ a: 1, 'b c': NaN })).rejects.toMatchObject({
        path: 'entries["b c"].value',
      });
      await expect(store.setMany('text' as never)).rejects.toMatchObject({ path: 'entries' });
      expect(await store.getAll()).toEqual({});
    });

    it('reads those that are there, in the order of the keys given', async () => {
      const { store } = await suite.scene();
      await store.setMany({ a: 1, b: null, c: 3 });
      const found = await store.getMany(new Set(['c', 'x', 'b', 'a']));
      expect([...found]).toEqual([
        ['c', 3],
        ['b', null],
        ['a', 1],
      ]);
      expect(await store.getMany([])).toEqual(new Map());
    });

    it('handles a thousand and more', async () => {
      const { store } = await suite.scene();
      const all = new Map(numbers(1500).map((i) => [`key ${i}`, { i }]));
      const versions = await store.setMany(all);
      expect(versions.size).toBe(1500);
      expect(await store.getMany(all.keys())).toEqual(all);
      expect(await store.deleteMany(all.keys())).toBe(1500);
    });

    it('serves hundreds of single calls at the same time', async () => {
      const { store } = await suite.scene();
      await Promise.all(numbers(500).map((i) => store.set(`key ${i}`, i)));
      expect(await Promise.all(numbers(500).map((i) => store.get(`key ${i}`)))).toEqual(numbers(500));
      const mixed = await Promise.all(
        numbers(300).map(async (i) => {
          if (i % 3 === 0) return store.delete(`key ${i}`);
          return i % 3 === 1 ? (await store.set(`key ${i}`, 'new')).version === 2n : store.has(`key ${i}`);
        }),
      );
      expect(mixed.every(Boolean)).toBe(true);
      expect((await store.stats()).count).toBe(400);
    });
  });
}
