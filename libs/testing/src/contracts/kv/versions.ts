/// <reference types="jest" />
import { VersionConflictError } from '@nestbox/kv';
import { eventually } from '../../eventually.js';
import { failureOf, numbers, type KvSuite } from './subject.js';

export function versions(suite: KvSuite): void {
  describe('versions', () => {
    it('start at 1 and grow by 1 with each change', async () => {
      const { store } = await suite.scene();
      expect(await store.set('a', 'x')).toEqual({ version: 1n });
      expect(await store.set('a', 'x')).toEqual({ version: 2n });
      expect(await store.update('a', () => 'y')).toEqual({ value: 'y', version: 3n });
      await store.set('a', 1);
      await store.increment('a');
      expect((await store.entry('a'))?.version).toBe(5n);
      expect((await store.setMany({ a: 1, b: 1 })).get('a')).toBe(6n);
      expect((await store.entry('b'))?.version).toBe(1n);
    });

    it('are not used twice when a key is deleted and set again', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1);
      await store.set('a', 2);
      await store.delete('a');
      const { version } = await store.set('a', 3);
      expect(version).toBeGreaterThan(2n);
      await store.deleteMany(['a']);
      const { version: next } = await store.set('a', 4);
      expect(next).toBeGreaterThan(version);
      await store.clear();
      expect(await store.increment('a')).toBe(1n);
      expect((await store.entry('a'))?.version).toBeGreaterThan(next);
    });

    it('are not used twice when an entry expires and is set again', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1);
      const { version } = await store.set('a', 2, { ttl: 20 });
      await eventually(async () => !(await store.has('a')));
      expect((await store.set('a', 3)).version).toBeGreaterThan(version);
    });

    it('come with the time of creation and of the last change', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1);
      const first = (await store.entry('a'))!;
      expect(Math.abs(first.createdAt.getTime() - Date.now())).toBeLessThan(10_000);
      expect(first.updatedAt).toEqual(first.createdAt);
      expect(first.expiresAt).toBeNull();
      await eventually(async () => {
        await store.set('a', 2);
        const second = (await store.entry('a'))!;
        expect(second.createdAt).toEqual(first.createdAt);
        expect(second.updatedAt.getTime()).toBeGreaterThan(first.updatedAt.getTime());
      });
      await store.delete('a');
      await store.set('a', 3);
      const third = (await store.entry('a'))!;
      expect(third.createdAt.getTime()).toBeGreaterThan(first.createdAt.getTime());
    });
  });

  describe('conditional writes', () => {
    it('are made when the version is the expected one', async () => {
      const { store } = await suite.scene();
      const { version } = await store.set('a', 1, { ifVersion: 'absent' });
      const next = await store.set('a', 2, { ifVersion: version });
      expect(next.version).toBe(version + 1n);
      expect(await store.delete('a', { ifVersion: next.version })).toBe(true);
      await store.set('a', 3, { ifVersion: 'absent' });
      expect(await store.get('a')).toBe(3);
    });

    it('are refused with the true current version, and change nothing', async () => {
      const { store } = await suite.scene();
      await store.set('a', 1);
      const { version } = await store.set('a', 2);
      for (const ifVersion of [1n, 99n, 0n, 'absent'] as const) {
        const error = await failureOf(store.set('a', 3, { ifVersion }));
        expect(error).toBeInstanceOf(VersionConflictError);
        expect(error).toMatchObject({
          code: 'VERSION_CONFLICT',
          key: 'a',
          expected: ifVersion,
          current: version,
        });
      }
      await expect(store.delete('a', { ifVersion: 1n })).rejects.toMatchObject({
        key: 'a',
        current: version,
      });
      expect(await store.entry('a')).toMatchObject({ value: 2, version });
    });

    it('find no version where there is no entry', async () => {
      const { store } = await suite.scene();
      await store.set('deleted', 1);
      await store.delete('deleted');
      await store.set('expired', 1, { ttl: 20 });
      await eventually(async () => !(await store.has('expired')));
      for (const key of ['never', 'deleted', 'expired']) {
        const conflict = { code: 'VERSION_CONFLICT', key, expected: 1n, current: undefined };
        await expect(store.set(key, 2, { ifVersion: 1n })).rejects.toMatchObject(conflict);
        await expect(store.delete(key, { ifVersion: 1n })).rejects.toMatchObject(conflict);
        await store.set(key, 3, { ifVersion: 'absent' });
        expect(await store.get(key)).toBe(3);
      }
    });

    it('let one of many win', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      for (const ifVersion of ['absent', 1n, 2n] as const) {
        const results = await Promise.allSettled(
          numbers(40).map((i) => (i % 2 === 0 ? store : other).set('a', i, { ifVersion })),
        );
        const won = results.flatMap((result, i) => (result.status === 'fulfilled' ? [i] : []));
        expect(won).toHaveLength(1);
        expect(await store.get('a')).toBe(won[0]);
        const lost = results.flatMap((result) =>
          result.status === 'rejected' ? [result.reason as unknown] : [],
        );
        for (const error of lost) expect(error).toBeInstanceOf(VersionConflictError);
      }
      expect((await store.entry('a'))?.version).toBe(3n);
    });

    it.each([1, '1', null, -1n, 2n ** 63n])('refuse %p as a version', async (version) => {
      const { store, adapter, outer } = await suite.scene();
      const ifVersion = version as bigint;
      const refused = { code: 'INVALID_ARGUMENT', path: 'ifVersion' };
      await expect(store.set('a', 1, { ifVersion })).rejects.toMatchObject(refused);
      await expect(store.delete('a', { ifVersion })).rejects.toMatchObject(refused);
      await expect(adapter.set(outer('a'), 1, { ifVersion })).rejects.toMatchObject(refused);
      await expect(adapter.delete(outer('a'), { ifVersion })).rejects.toMatchObject(refused);
    });
  });

  describe('delete', () => {
    it('tells whether there was an entry', async () => {
      const { store } = await suite.scene();
      await store.set('a', null);
      expect(await store.delete('a')).toBe(true);
      expect(await store.delete('a')).toBe(false);
      await store.set('b', 1, { ttl: 20 });
      await eventually(async () => !(await store.has('b')));
      expect(await store.delete('b')).toBe(false);
    });

    it('counts every entry once when many are deleted', async () => {
      const { store } = await suite.scene();
      await store.setMany({ a: 1, b: 2, c: 3 });
      expect(await store.deleteMany(['a', 'b', 'a', 'x'])).toBe(2);
      expect(await store.deleteMany([])).toBe(0);
      expect(await store.getAll()).toEqual({ c: 3 });
      const concurrent = await Promise.all(numbers(10).map(() => store.delete('c')));
      expect(concurrent.filter(Boolean)).toHaveLength(1);
    });

    it('clears what has a prefix, and nothing else', async () => {
      const { store, adapter, outer } = await suite.scene();
      await store.setMany(numbers(300).map((i) => [`a${i}`, i]));
      await store.set('b', 1);
      expect(await adapter.clear(outer('a'))).toBe(300);
      expect(await store.getAll()).toEqual({ b: 1 });
      expect(await store.clear()).toBe(1);
      expect(await store.clear()).toBe(0);
    });
  });
}
