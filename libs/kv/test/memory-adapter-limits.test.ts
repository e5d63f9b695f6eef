import { compareUtf8 } from '@nestbox/core';
import { KeyValueStore, MemoryAdapter } from '@nestbox/kv';
import fc from 'fast-check';
import { KeyIndex } from '../src/memory/key-index.js';

async function failure(watch: AsyncIterable<unknown>): Promise<unknown> {
  try {
    for await (const _ of watch);
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('the memory adapter', () => {
  it('tells a watcher that fell too far behind', async () => {
    const store = new KeyValueStore({ adapter: new MemoryAdapter({ maxChanges: 10 }) });
    const watch = store.watch();
    await watch.ready;
    for (let i = 0; i < 30; i++) await store.set('a', i);
    expect(await failure(watch)).toMatchObject({ code: 'REVISION_TRIMMED' });
    await expect(store.watch({ fromRevision: 1n }).ready).rejects.toMatchObject({ code: 'REVISION_TRIMMED' });
    const late = store.watch({ fromRevision: 30n });
    for await (const change of late) {
      expect(change).toMatchObject({ value: 29, version: 30n });
      break;
    }
  });

  it('forgets the values of old changes when they are large', async () => {
    const store = new KeyValueStore({ adapter: new MemoryAdapter() });
    for (let i = 0; i < 30; i++) await store.set('a', 'x'.repeat(1_000_000));
    await expect(store.watch({ fromRevision: 1n }).ready).rejects.toMatchObject({ code: 'REVISION_TRIMMED' });
    const watch = store.watch({ fromRevision: 30n });
    await watch.ready;
    await watch.close();
  });

  it('keeps as many versions of a key as it is told', async () => {
    const store = new KeyValueStore({
      adapter: new MemoryAdapter({ maxHistory: 3 }),
      enableVersioning: true,
    });
    for (let i = 0; i < 10; i++) await store.set('a', i);
    expect((await store.history('a')).map(({ value }) => value)).toEqual([9, 8, 7]);
    expect(await store.getVersion('a', 7n)).toBeUndefined();
  });

  it('uses no version again when it has forgotten what was deleted', async () => {
    const store = new KeyValueStore({ adapter: new MemoryAdapter() });
    for (let i = 0; i < 5; i++) await store.set('a', i);
    await store.delete('a');
    const keys = Array.from({ length: 10_500 }, (_, i) => `key ${i}`);
    await store.setMany(keys.map((key) => [key, 1]));
    await store.deleteMany(keys);
    // The sweep is not awaited by anything; what it must not do is to bring the version down.
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect((await store.set('a', 'again')).version).toBeGreaterThan(6n);
    await store.close();
  });

  it.each([0, -1, 1.5, '5'])('refuses %p as a limit', (limit) => {
    expect(() => new MemoryAdapter({ maxChanges: limit as number })).toThrow(
      expect.objectContaining({ path: 'maxChanges' }),
    );
    expect(() => new MemoryAdapter({ maxHistory: limit as number })).toThrow(
      expect.objectContaining({ path: 'maxHistory' }),
    );
  });

  it('keeps its keys in order, however they come and go', () => {
    const key = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\uffee', '🦊'), maxLength: 5 });
    const bounds = fc.record(
      { prefix: key, start: key, end: key, after: key, reverse: fc.boolean() },
      { requiredKeys: [] },
    );
    const step = fc.oneof(
      { weight: 9, arbitrary: fc.array(key, { maxLength: 50 }) },
      { weight: 1, arbitrary: bounds },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const index = new KeyIndex();
        const model = new Set<string>();
        for (const item of steps) {
          if (Array.isArray(item)) {
            for (const name of item) {
              if (model.delete(name)) index.remove(name);
              else {
                model.add(name);
                index.add(name);
              }
            }
          } else {
            const { prefix = '', start, end, after, reverse = false } = item;
            const expected = [...model]
              .filter((name) => name.startsWith(prefix))
              .filter((name) => start === undefined || compareUtf8(name, start) >= 0)
              .filter((name) => end === undefined || compareUtf8(name, end) < 0)
              .filter((name) => after === undefined || compareUtf8(name, after) * (reverse ? -1 : 1) > 0)
              .sort(compareUtf8);
            expect([...index.range(item)]).toEqual(reverse ? expected.reverse() : expected);
          }
        }
        expect([...index.range({})]).toEqual([...model].sort(compareUtf8));
      }),
    );
  });
});
