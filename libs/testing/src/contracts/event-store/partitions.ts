/// <reference types="jest" />
import { PartitionNotFoundError, type EventStore } from '@nestbox/event-store';
import { added, collect, failureOf, unique, valuesIn, valuesOf, type EventStoreSuite } from './subject.js';

/** One call of each method that takes one partition. */
const CALLS: [string, (store: EventStore, partition: string) => Promise<unknown>][] = [
  ['appendToStream', (store, partition) => store.appendToStream('a', [added(1)], { partition })],
  ['readStream', (store, partition) => store.readStream('a', { partition })],
  ['streamEvents', (store, partition) => collect(store.streamEvents('a', { partition }))],
  ['streamExists', (store, partition) => store.streamExists('a', { partition })],
  ['listStreams', (store, partition) => store.listStreams({ partition })],
  ['archiveStream', async (store, partition) => store.archiveStream('a', { partition })],
  ['unarchiveStream', async (store, partition) => store.unarchiveStream('a', { partition })],
  ['deleteStream', (store, partition) => store.deleteStream('a', { partition })],
  ['collection', async (store, partition) => store.collection('a', { partition }).get('a')],
  ['partitions.create', async (store, partition) => store.partitions.create(partition)],
  ['partitions.drop', async (store, partition) => store.partitions.drop(partition)],
  [
    'aggregateStream',
    (store, partition) =>
      store.aggregateStream('a', { initialState: () => 0, evolve: () => 0, read: { partition } }),
  ],
];

export function partitions(suite: EventStoreSuite): void {
  describe('partitions', () => {
    it('are created once, listed, and dropped once', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const partition = unique('tenant');
      expect(await store.partitions.list()).not.toContain(partition);
      expect(await store.partitions.create(partition)).toBe(true);
      expect(await other.partitions.create(partition)).toBe(false);
      const names = await other.partitions.list();
      expect(names).toContain(partition);
      expect(names).toContain('emt:default');
      expect(names).toEqual(names.toSorted());
      expect(await other.partitions.drop(partition)).toBe(true);
      expect(await store.partitions.drop(partition)).toBe(false);
      expect(await store.partitions.list()).not.toContain(partition);
    });

    it('are created once when many do so at once', async () => {
      const { store, elsewhere } = await suite.scene();
      const stores = [store, await elsewhere()];
      const partition = unique('tenant');
      const results = await Promise.all(
        [0, 1, 2, 3, 4, 5].map((i) => stores[i % 2]!.partitions.create(partition)),
      );
      expect(results.filter(Boolean)).toHaveLength(1);
      await store.appendToStream('a', [added(1)], { partition });
    });

    it('may have any names, however alike', async () => {
      const { store } = await suite.scene();
      const base = unique('Mandant');
      const names = [
        base,
        base.toLowerCase(),
        `${base}_`,
        `${base} `,
        `${base}'; drop schema "x"`,
        `${base}"`,
        `${base} ünï 🦊`,
        `${base}${'x'.repeat(150)}1`,
        `${base}${'x'.repeat(150)}2`,
      ];
      for (const [i, partition] of names.entries()) {
        expect(await store.partitions.create(partition)).toBe(true);
        await store.appendToStream('cart-1', [added(i)], { partition });
      }
      for (const [i, partition] of names.entries()) {
        expect(await valuesIn(store, 'cart-1', partition)).toEqual([i]);
        expect(valuesOf((await store.readAll({ partition })).events)).toEqual([i]);
      }
      expect(await store.partitions.list()).toEqual(expect.arrayContaining(names));
      for (const partition of names) expect(await store.partitions.drop(partition)).toBe(true);
    });

    it('do not let streams of the same name meet', async () => {
      const { store, partition: north } = await suite.tenant();
      const south = unique('tenant');
      await store.partitions.create(south);
      const stream = unique('cart');
      const places = [undefined, north, south];
      for (const [i, partition] of places.entries()) {
        const fresh = { partition, expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' } as const;
        expect(await store.appendToStream(stream, [added(i)], fresh)).toMatchObject({
          createdNewStream: true,
          nextExpectedStreamVersion: 1n,
        });
      }
      await store.appendToStream(stream, [added(10)], { partition: north });
      expect(await valuesIn(store, stream)).toEqual([0]);
      expect(await valuesIn(store, stream, north)).toEqual([1, 10]);
      expect(await valuesIn(store, stream, south)).toEqual([2]);
      const { events } = await store.readStream(stream, { partition: north });
      expect(events.map(({ metadata }) => metadata.partition)).toEqual([north, north]);
      expect((await store.listStreams({ partition: south })).streams).toMatchObject([{ version: 1n }]);
    });

    it('take appends of many callers at once, each to its own', async () => {
      const { store, partition } = await suite.tenant();
      const stream = unique('cart');
      const places = [undefined, partition];
      await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          store.appendToStream(stream, [added(i)], { partition: places[i % 2] }),
        ),
      );
      const even = await valuesIn(store, stream);
      const odd = await valuesIn(store, stream, partition);
      expect([even.length, odd.length]).toEqual([20, 20]);
      expect(even.every((n) => n % 2 === 0)).toBe(true);
      expect(odd.every((n) => n % 2 === 1)).toBe(true);
    });

    it('lose all that they held when they are dropped, and nobody else loses anything', async () => {
      const { store, partition } = await suite.tenant();
      const stream = unique('cart');
      await store.appendToStream(stream, [added(1)]);
      await store.appendToStream(stream, [added(2)], { partition });
      await store.partitions.drop(partition);
      expect(await valuesIn(store, stream)).toEqual([1]);
      await expect(store.appendToStream(stream, [added(3)], { partition })).rejects.toMatchObject({
        code: 'PARTITION_NOT_FOUND',
      });
      await store.partitions.create(partition);
      expect((await store.readAll({ partition })).events).toEqual([]);
      expect((await store.listStreams({ partition })).streams).toEqual([]);
      expect(await store.appendToStream(stream, [added(4)], { partition })).toMatchObject({
        createdNewStream: true,
      });
    });

    it('that are not there take no events', async () => {
      const { store } = await suite.scene();
      const partition = unique('nowhere');
      const error = await failureOf(store.appendToStream('cart-1', [added(1)], { partition }));
      expect(error).toBeInstanceOf(PartitionNotFoundError);
      expect(error).toMatchObject({ code: 'PARTITION_NOT_FOUND', partition });
      expect((error as Error).message).toContain(`partitions.create("${partition}")`);
      const inSession = store.withSession(({ eventStore }) =>
        eventStore.appendToStream('cart-1', [added(1)], { partition }),
      );
      await expect(inSession).rejects.toMatchObject({ code: 'PARTITION_NOT_FOUND', partition });
    });

    it('cannot all be dropped: the default one stays', async () => {
      const { store } = await suite.scene();
      const refused = { code: 'INVALID_ARGUMENT', path: 'partition' };
      await expect((async () => store.partitions.drop('emt:default'))()).rejects.toMatchObject(refused);
      expect(await store.partitions.create('emt:default')).toBe(false);
    });

    it.each(CALLS)("cannot be '*', empty or something else than a text in %s()", async (_, call) => {
      const { store } = await suite.scene();
      for (const bad of ['*', '', 5, null, 'a\0'] as string[]) {
        const error = await failureOf((async () => call(store, bad))());
        expect(error).toMatchObject({
          code: 'INVALID_ARGUMENT',
          path: expect.stringMatching(/partition$/) as string,
        });
      }
    });
  });
}
