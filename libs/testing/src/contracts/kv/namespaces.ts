/// <reference types="jest" />
import { KeyValueStore, VersionConflictError } from '@nestbox/kv';
import { collect, failureOf, numbers, type KvSuite } from './subject.js';

export function namespaces(suite: KvSuite): void {
  describe('namespaces', () => {
    it('see their own keys only, without the prefix', async () => {
      const { store, outer, adapter } = await suite.scene();
      const users = store.namespace('users');
      await store.setMany({ a: 'outside', users: 'outside', usersa: 'outside' });
      await users.setMany({ a: 1, b: { n: 2 } });
      await users.set('c', 3, { ttl: '1h' });
      expect(await users.getAll()).toEqual({ a: 1, b: { n: 2 }, c: 3 });
      expect((await users.list()).entries.map(({ key }) => key)).toEqual(['a', 'b', 'c']);
      expect((await users.list({ reverse: true, limit: 2 })).entries.map(({ key }) => key)).toEqual([
        'c',
        'b',
      ]);
      expect((await users.list({ start: 'b', end: 'c' })).entries.map(({ key }) => key)).toEqual(['b']);
      expect((await users.list({ start: '' })).entries).toHaveLength(3);
      expect((await collect(users.entries({ prefix: 'b' }))).map(({ key }) => key)).toEqual(['b']);
      expect((await users.entry('a'))?.key).toBe('a');
      expect([...(await users.getMany(['b', 'a'])).keys()]).toEqual(['b', 'a']);
      expect((await users.stats()).count).toBe(3);
      expect(await adapter.get(outer('users:a'))).toBe(1);
      expect(await store.get('users:a')).toBe(1);
      if (suite.capabilities.query) {
        expect((await users.query({ contains: { n: 2 } })).entries.map(({ key }) => key)).toEqual(['b']);
      }
      expect(await users.clear()).toBe(3);
      expect(await store.getAll()).toEqual({ a: 'outside', users: 'outside', usersa: 'outside' });
    });

    it('give their own keys in results and errors', async () => {
      const { store } = await suite.scene({ enableVersioning: true });
      const inner = store.namespace('in ner');
      const watch = inner.watch({ prefix: '{' });
      await store.set('{x}a', 'outside');
      const committed = await inner.atomic().set('{x}a', 1).increment('{x}b').commit();
      expect(committed).toEqual({
        ok: true,
        versions: new Map([
          ['{x}a', 1n],
          ['{x}b', 1n],
        ]),
      });
      expect(await inner.atomic().check('{x}a', 7n).commit()).toEqual({ ok: false, failed: ['{x}a'] });
      const conflict = await failureOf(inner.set('{x}a', 1, { ifVersion: 7n }));
      expect(conflict).toBeInstanceOf(VersionConflictError);
      expect(conflict).toMatchObject({ key: '{x}a', current: 1n });
      await inner.set('text', 'x');
      await expect(inner.increment('text')).rejects.toMatchObject({ code: 'NOT_A_COUNTER', key: 'text' });
      expect([...(await inner.setMany({ c: 1 })).keys()]).toEqual(['c']);
      expect((await collect(watch, 2)).map(({ key }) => key).sort()).toEqual(['{x}a', '{x}b']);
      expect((await inner.history('{x}a'))[0]?.key).toBe('{x}a');
      expect((await inner.getVersion('{x}a', 1n))?.key).toBe('{x}a');
      const lease = await inner.lease('l', { ttl: '10s' });
      expect(lease).toMatchObject({ key: 'l', held: true });
      await expect(inner.lease('l', { ttl: '10s' })).rejects.toMatchObject({ code: 'LEASE_HELD', key: 'l' });
      await (await store.lease('l', { ttl: '10s' })).release();
      await lease.release();
      expect(lease.held).toBe(false);
    });

    it('never share a key, whatever they are called', async () => {
      const { store } = await suite.scene();
      const paths = [
        ['a', 'b'],
        ['a:b'],
        ['a%3Ab'],
        ['a', 'b', 'c'],
        ['a:', 'b'],
        ['a', ':b'],
        ['%'],
        ['%25'],
        [':'],
      ];
      const stores = paths.map((path) => path.reduce((outer, name) => outer.namespace(name), store));
      await Promise.all(stores.map((inner, i) => inner.set('k', i)));
      expect(await Promise.all(stores.map((inner) => inner.get('k')))).toEqual(numbers(paths.length));
      // Only those that lie within others are cleared with them.
      expect(await stores[0]!.clear()).toBe(2);
      expect((await store.stats()).count).toBe(paths.length - 2);
    });

    it('can be nested, and given to a new store', async () => {
      const { store, adapter } = await suite.scene();
      const nested = store.namespace('a').namespace('b');
      await nested.set('k', 1);
      expect(await store.namespace('a').get('b:k')).toBe(1);
      const direct = new KeyValueStore({ adapter, namespace: `own ${Math.random()}` });
      await direct.namespace('a').set('k', 2);
      expect(await direct.getAll()).toEqual({ 'a:k': 2 });
      await direct.clear();
    });

    it('count in the length of a key, and the message says so', async () => {
      const { adapter } = await suite.scene();
      const store = new KeyValueStore({ adapter, namespace: 'nine byte' });
      await store.set('k'.repeat(502), 1);
      expect((await store.list()).entries).toHaveLength(1);
      await store.clear();
      const refused = {
        code: 'INVALID_ARGUMENT',
        path: 'key',
        message: expect.stringMatching(/513 bytes.*"nine byte:".*512/) as unknown,
      };
      await expect(store.set('k'.repeat(503), 1)).rejects.toMatchObject(refused);
      await expect(store.get('k'.repeat(503))).rejects.toMatchObject(refused);
      for (const name of ['', 'a\0', '\ud83e', 'n'.repeat(513), 'n'.repeat(502), 5 as never]) {
        expect(() => store.namespace(name)).toThrow(expect.objectContaining({ path: 'namespace' }));
      }
    });

    it('share the computations and updates of the store', async () => {
      const { store } = await suite.scene();
      const views = [store.namespace('a'), store.namespace('a')];
      let calls = 0;
      const compute = async (): Promise<number> => ++calls;
      await Promise.all(numbers(10).map((i) => views[i % 2]!.getOrSet('k', compute)));
      expect(calls).toBe(1);
      await Promise.all(numbers(20).map((i) => views[i % 2]!.update<number>('n', (n = 0) => n + 1)));
      expect(await store.get('a:n')).toBe(20);
    });

    it('do not close the store', async () => {
      const { store } = await suite.scene();
      await store.namespace('a').close();
      await store.set('k', 1);
      expect(await store.get('k')).toBe(1);
    });
  });
}
