/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import { collect, type KvSuite } from './subject.js';

export function expiry(suite: KvSuite): void {
  describe('time to live', () => {
    it('takes an entry out of everything when it is over', async () => {
      const { store } = await suite.scene();
      await store.set('a', { x: 1 }, { ttl: 150 });
      await store.set('b', { x: 1 });
      expect(await store.has('a')).toBe(true);
      await eventually(async () => !(await store.has('a')));
      expect(await store.get('a')).toBeUndefined();
      expect(await store.entry('a')).toBeUndefined();
      expect([...(await store.getMany(['a', 'b'])).keys()]).toEqual(['b']);
      expect((await store.list()).entries.map(({ key }) => key)).toEqual(['b']);
      expect((await store.list({ reverse: true, limit: 1 })).entries.map(({ key }) => key)).toEqual(['b']);
      expect(Object.keys(await store.getAll())).toEqual(['b']);
      expect((await store.stats()).count).toBe(1);
      expect(await store.deleteMany(['a'])).toBe(0);
      if (suite.capabilities.query) {
        expect((await store.query({ contains: { x: 1 } })).entries.map(({ key }) => key)).toEqual(['b']);
      }
      expect(await store.clear()).toBe(1);
    });

    it('is shown by the entry', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1, { ttl: '1h' });
      const { expiresAt, updatedAt } = (await store.entry('a'))!;
      expect(expiresAt!.getTime() - updatedAt.getTime()).toBeGreaterThan(3_600_000 - 1000);
      expect(expiresAt!.getTime() - updatedAt.getTime()).toBeLessThan(3_600_000 + 1000);
      expect((await store.list()).entries[0]?.expiresAt).toEqual(expiresAt);
    });

    it('ends with a set that has none', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1, { ttl: '1h' });
      await store.set('a', 2);
      expect((await store.entry('a'))?.expiresAt).toBeNull();
      await store.set('b', 1, { ttl: '1h' });
      await store.setMany({ b: 2 });
      expect((await store.entry('b'))?.expiresAt).toBeNull();
    });

    it('is kept by update and increment', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1, { ttl: '1h' });
      const { expiresAt } = (await store.entry('a'))!;
      await store.update<number>('a', (a) => a! + 1);
      expect((await store.entry('a'))?.expiresAt).toEqual(expiresAt);
      await store.increment('a');
      expect((await store.entry('a'))?.expiresAt).toEqual(expiresAt);
      await store.increment('a', 1, { ttl: '2h' });
      expect((await store.entry('a'))?.expiresAt).toEqual(expiresAt);
      await store.atomic().increment('a', 1, { ttl: '2h' }).commit();
      expect(await store.entry('a')).toMatchObject({ value: 5, expiresAt });
    });

    it('can be given anew by update', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1);
      await store.update('a', () => 2, { ttl: '1h' });
      expect((await store.entry('a'))?.expiresAt).not.toBeNull();
      await store.update('a', () => 3, { ttl: null });
      expect((await store.entry('a'))?.expiresAt).toBeNull();
    });

    it('can be given to every kind of write', async () => {
      const { store, adapter, outer } = await suite.scene();
      await store.setMany([{ key: 'many', value: 1, ttl: '1h' }]);
      await store.atomic().set('{x}set', 1, { ttl: '1h' }).increment('{x}count', 1, { ttl: '1h' }).commit();
      await store.increment('count', 1, { ttl: '1h' });
      await store.update('update', () => 1, { ttl: '1h' });
      await store.getOrSet('getOrSet', () => 1, { ttl: '1h' });
      const found = await collect(store.entries());
      expect(found).toHaveLength(6);
      for (const entry of found) expect(entry.expiresAt).not.toBeNull();
      await adapter.set(outer('many'), 2, { expiry: 'keep' });
      expect(await store.entry('many')).toMatchObject({ value: 2, expiresAt: expect.any(Date) as unknown });
      await adapter.set(outer('new'), 2, { expiry: 'keep' });
      expect((await store.entry('new'))?.expiresAt).toBeNull();
    });

    it('may have a default, which null overrides', async () => {
      const { store } = await suite.scene({ ttl: '1h' });
      await store.set('a', 1);
      await store.setMany({ b: 1 });
      await store.increment('c');
      await store.update('d', () => 1);
      await store.atomic().set('{x}e', 1).increment('{x}f').commit();
      await store.getOrSet('g', () => 1);
      for (const entry of await collect(store.entries())) expect(entry.expiresAt).not.toBeNull();
      await store.set('a', 1, { ttl: null });
      expect((await store.entry('a'))?.expiresAt).toBeNull();
      await store.update('a', () => 2);
      expect((await store.entry('a'))?.expiresAt).toBeNull();
    });

    it('leaves no trace in what is set afterwards, when entries are swept', async () => {
      const { store } = await suite.scene();
      const watch = store.watch();
      await store.setMany([
        { key: 'a', value: 'old', ttl: 60 },
        { key: 'b', value: 'old', ttl: 60 },
      ]);
      await eventually(async () => !(await store.has('a')) && !(await store.has('b')));
      await store.set('a', 'new');
      expect((await store.entry('a'))?.expiresAt).toBeNull();
      // Once the other one was swept, the sweep has passed.
      for await (const change of watch) if (change.type === 'delete' && change.key === 'b') break;
      expect(await store.get('a')).toBe('new');
    });

    it.each([0, -1, NaN, Infinity, 'soon', '', {}])('cannot be %p', async (bad) => {
      const { store, adapter, outer } = await suite.scene();
      const ttl = bad as number;
      const refused = { code: 'INVALID_ARGUMENT' };
      await expect(store.set('a', 1, { ttl })).rejects.toMatchObject({ ...refused, path: 'ttl' });
      await expect(store.setMany([{ key: 'a', value: 1, ttl }])).rejects.toMatchObject(refused);
      await expect(store.increment('a', 1, { ttl })).rejects.toMatchObject(refused);
      await expect(store.getOrSet('a', () => 1, { ttl })).rejects.toMatchObject(refused);
      await expect(store.lease('a', { ttl })).rejects.toMatchObject({ ...refused, path: 'ttl' });
      await expect(adapter.set(outer('a'), 1, { expiry: { ttl } })).rejects.toMatchObject(refused);
      expect(await store.getAll()).toEqual({});
    });
  });
}
