import { KeyValueStore, KeyvNestbox, MemoryAdapter } from '@nestbox/kv';
import { eventually } from '@nestbox/testing';
import { Keyv, type KeyvOptions } from 'keyv6';

describe('KeyvNestbox with Keyv 6', () => {
  let store: KeyValueStore;
  beforeEach(() => {
    store = new KeyValueStore({ adapter: new MemoryAdapter(), ttl: '1h' });
  });
  afterEach(() => store.close());

  const keyvOf = (options: KeyvOptions = {}): Keyv => {
    const keyv = new Keyv({ store: new KeyvNestbox(store), ...options });
    keyv.on('error', (error: Error) => {
      throw error;
    });
    return keyv;
  };

  it.each<[string, KeyvOptions]>([
    ['as it comes', {}],
    ['with a namespace', { namespace: 'a:b' }],
    ['without serialization', { serialization: false, namespace: 'cache' }],
  ])('works with Keyv %s', async (_, options) => {
    const keyv = keyvOf(options);
    for (const value of ['text', ':text', 0, true, [], { a: [{ b: null }] }]) {
      expect(await keyv.set('key', value)).toBe(true);
      expect(await keyv.get('key')).toEqual(value);
    }
    expect(await keyv.has('key')).toBe(true);
    expect(await keyv.delete('key')).toBe(true);
    expect(await keyv.get('key')).toBeUndefined();
    await keyv.setMany<unknown>([
      { key: 'a', value: 1 },
      { key: 'b:c', value: { x: 2 } },
    ]);
    expect(await keyv.getMany(['b:c', 'x', 'a'])).toEqual([{ x: 2 }, undefined, 1]);
    expect(await keyv.hasMany(['a', 'x'])).toEqual([true, false]);
    const found: unknown[] = [];
    for await (const item of keyv.iterator()) found.push(item);
    expect(found).toEqual([
      ['a', 1],
      ['b:c', { x: 2 }],
    ]);
    await keyv.set('short', 1, 50);
    expect(await keyv.get('short')).toBe(1);
    await eventually(async () => (await keyv.get('short')) === undefined);
    for await (const entry of store.entries()) expect(entry.expiresAt).toBeNull();
    expect(await keyv.deleteMany(['a', 'b:c'])).toEqual([true, true]);
  });

  it('clears its own namespace only, and stores no JSON within JSON', async () => {
    const [one, two] = [keyvOf({ namespace: 'one' }), keyvOf({ namespace: 'one:two' })];
    await one.set('a', { x: 1 });
    await two.set('a', 2);
    expect(await store.namespace('one').get('a')).toEqual({ value: { x: 1 } });
    await one.clear();
    expect(await one.get('a')).toBeUndefined();
    expect(await two.get('a')).toBe(2);
  });
});
