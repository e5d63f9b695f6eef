import { KeyValueStore, KeyvNestbox, MemoryAdapter } from '@nestbox/kv';
import { eventually } from '@nestbox/testing';
import { CACHE_MANAGER, CacheModule, type Cache } from '@nestjs/cache-manager';
import { Test } from '@nestjs/testing';
import { Keyv, type KeyvOptions, type KeyvStoreAdapter } from 'keyv';

describe('KeyvNestbox', () => {
  let store: KeyValueStore;
  beforeEach(() => {
    store = new KeyValueStore({ adapter: new MemoryAdapter(), ttl: '1h' });
  });
  afterEach(() => store.close());

  const keyvOf = (options: KeyvOptions = {}): Keyv => {
    // Assigned, so that the types are checked.
    const adapter: KeyvStoreAdapter = new KeyvNestbox(store);
    const keyv = new Keyv({ store: adapter, throwOnErrors: true, ...options });
    keyv.on('error', () => undefined);
    return keyv;
  };

  const modes: [string, KeyvOptions][] = [
    ['as it comes', {}],
    ['without a namespace', { namespace: undefined }],
    ['without prefixes of its own', { useKeyPrefix: false, namespace: 'a:b' }],
    ['without serialization', { serialize: undefined, deserialize: undefined }],
  ];

  describe.each(modes)('with Keyv %s', (_, options) => {
    it('stores, reads, and deletes', async () => {
      const keyv = keyvOf(options);
      for (const value of ['text', ':text', '', 0, 1.5, true, null, [], { a: [{ b: null }] }]) {
        expect(await keyv.set('key', value)).toBe(true);
        expect(await keyv.get('key')).toEqual(value);
        expect((await keyv.getRaw('key'))?.value).toEqual(value);
      }
      expect(await keyv.has('key')).toBe(true);
      expect(await keyv.delete('key')).toBe(true);
      expect(await keyv.delete('key')).toBe(false);
      expect(await keyv.get('key')).toBeUndefined();
      expect(await keyv.has('key')).toBe(false);
    });

    it('does many at once', async () => {
      const keyv = keyvOf(options);
      expect(
        await keyv.setMany([
          { key: 'a', value: 1 },
          { key: 'b', value: { x: 2 }, ttl: 60_000 },
        ]),
      ).toEqual([true, true]);
      expect(await keyv.getMany(['b', 'x', 'a'])).toEqual([{ x: 2 }, undefined, 1]);
      expect((await keyv.getManyRaw(['a', 'x'])).map((raw) => raw?.value)).toEqual([1, undefined]);
      expect(await keyv.hasMany(['a', 'x'])).toEqual([true, false]);
      expect(await keyv.deleteMany(['a', 'b'])).toBe(true);
      expect(await keyv.deleteMany(['a', 'b'])).toBe(false);
    });

    it('iterates over its entries', async () => {
      const keyv = keyvOf(options);
      await keyv.setMany([
        { key: 'a', value: 1 },
        { key: 'b:c', value: { x: 2 } },
      ]);
      const found: unknown[] = [];
      for await (const item of keyv.iterator!(undefined)) found.push(item);
      // Keyv 5 cuts off its own prefix, which it has not added where it has no namespace or none is wanted.
      expect(found.length).toBe(2);
      expect(found.map((item) => (item as unknown[])[1])).toEqual([1, { x: 2 }]);
    });

    it('lets entries expire when Keyv says so, and not when the store does', async () => {
      const keyv = keyvOf(options);
      await keyv.set('short', 1, 50);
      await keyv.set('long', 1);
      await keyv.set('zero', 1, 0);
      expect(await keyv.get('short')).toBe(1);
      await eventually(async () => (await keyv.get('short')) === undefined);
      expect((await store.stats()).count).toBe(2);
      for await (const entry of store.entries()) expect(entry.expiresAt).toBeNull();
      await keyv.set('long', 2, -1);
      expect(await keyv.has('long')).toBe(false);
    });
  });

  it('stores values as JSON objects, which are not encoded twice', async () => {
    await keyvOf().set('a', { x: [1] }, 60_000);
    expect(await store.namespace('keyv').get('keyv:a')).toEqual({
      value: { x: [1] },
      expires: expect.any(Number) as unknown,
    });
    await keyvOf({ namespace: undefined, serialize: undefined, deserialize: undefined }).set('a', { x: [1] });
    expect(await store.get('a')).toEqual({ raw: true, value: { x: [1] } });
  });

  it('gives back what another serialization made, to the letter', async () => {
    const serialize = (data: unknown): string => `{ "custom": ${JSON.stringify(data)} }`;
    const deserialize = (text: string) => (JSON.parse(text) as { custom: { value?: never } }).custom;
    const keyv = keyvOf({ serialize, deserialize, namespace: undefined });
    await keyv.set('a', { x: 1 });
    expect(await store.get('a')).toBe('{ "custom": {"value":{"x":1}} }');
    expect(await keyv.get('a')).toEqual({ x: 1 });
    await keyv.set('bytes', Buffer.from('é'));
    const plain = keyvOf({ namespace: undefined });
    await plain.set('bytes', Buffer.from('é'));
    expect(await plain.get('bytes')).toEqual(Buffer.from('é'));
  });

  it('clears its own namespace only', async () => {
    const [one, two] = [keyvOf({ namespace: 'one' }), keyvOf({ namespace: 'one:two' })];
    await store.set('other', 1);
    await one.set('a', 1);
    await two.set('a', 2);
    await one.clear();
    expect(await one.get('a')).toBeUndefined();
    expect(await two.get('a')).toBe(2);
    expect(await store.get('other')).toBe(1);
    two.namespace = 'three';
    expect(await two.get('a')).toBeUndefined();
    await two.clear();
    two.namespace = 'one:two';
    expect(await two.get('a')).toBe(2);
  });

  it('tells Keyv of failures', async () => {
    const keyv = keyvOf();
    const errors: unknown[] = [];
    keyv.on('error', (error) => errors.push(error));
    await expect(keyv.set('k'.repeat(600), 1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(errors).toHaveLength(1);
  });

  it('leaves the store open when it is disconnected, unless it is told otherwise', async () => {
    await keyvOf().disconnect();
    await store.set('a', 1);
    await new Keyv({ store: new KeyvNestbox(store, { closeOnDisconnect: true }) }).disconnect();
    await expect(store.get('a')).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('serves the cache of Nest', async () => {
    const moduleRef = await Test.createTestingModule({
      imports: [CacheModule.register({ stores: new KeyvNestbox(store.namespace('cache')), ttl: 60_000 })],
    }).compile();
    const cache = moduleRef.get<Cache>(CACHE_MANAGER);
    await cache.set('a', { x: 1 });
    await cache.mset([
      { key: 'b', value: 2, ttl: 50 },
      { key: 'c', value: 3 },
    ]);
    expect(await cache.get('a')).toEqual({ x: 1 });
    expect(await cache.mget(['a', 'b', 'x'])).toEqual([{ x: 1 }, 2, undefined]);
    let computed = 0;
    const wrapped = () => cache.wrap('w', () => ++computed);
    expect([await wrapped(), await wrapped()]).toEqual([1, 1]);
    await eventually(async () => (await cache.get('b')) === undefined);
    expect((await store.namespace('cache').entry('a'))?.expiresAt).not.toBeNull();
    await cache.del('a');
    expect(await cache.get('a')).toBeUndefined();
    await store.set('other', 1);
    await cache.clear();
    expect(await store.getAll()).toEqual({ other: 1 });
    await moduleRef.close();
    expect(await store.get('other')).toBe(1);
  });
});
