/// <reference types="jest" />
import type { Event, EventStore, LogPage, ReadAllOptions } from '@nestbox/event-store';
import {
  added,
  addedUpTo,
  collect,
  numbers,
  openSession,
  positionsOf,
  removed,
  unique,
  valuesOf,
  type Change,
  type EventStoreSuite,
} from './subject.js';

/** All pages of the log. */
async function pagesOf(store: EventStore, options: ReadAllOptions): Promise<LogPage<Event>[]> {
  const pages: LogPage<Event>[] = [];
  let after = options.after ?? 0n;
  for (;;) {
    const page = await store.readAll({ ...options, after });
    pages.push(page);
    if (page.isEnd) return pages;
    expect(page.position).toBeGreaterThan(after);
    after = page.position;
  }
}

export function log(suite: EventStoreSuite): void {
  describe('the log', () => {
    it('has the events of all streams in the order in which they were appended', async () => {
      const { store, partition } = await suite.tenant();
      const streams = [unique('a'), unique('b'), unique('a')];
      for (const i of numbers(9)) await store.appendToStream(streams[i % 3]!, [added(i)], { partition });
      const { events, position, isEnd } = await store.readAll<Change>({ partition });
      expect(valuesOf(events)).toEqual(numbers(9));
      expect(events.map(({ metadata }) => metadata.streamName)).toEqual(
        numbers(9).map((i) => streams[i % 3]),
      );
      const positions = positionsOf(events);
      expect(positions).toEqual(positions.toSorted((a, b) => (a < b ? -1 : 1)));
      expect(new Set(positions).size).toBe(9);
      expect(position).toBe(positions.at(-1));
      expect(isEnd).toBe(true);
      const { events: read } = await store.readStream(streams[1]!, { partition });
      expect(events.filter((_, i) => i % 3 === 1)).toEqual(read);
    });

    it('is empty where nothing was appended', async () => {
      const { store, partition } = await suite.tenant();
      expect(await store.readAll({ partition })).toEqual({ events: [], position: 0n, isEnd: true });
      expect(await store.readAll({ partition, after: 5n })).toEqual({
        events: [],
        position: 5n,
        isEnd: true,
      });
      expect(await collect(store.readAll({ partition }))).toEqual([]);
    });

    it.each([1, 2, 3, 4, 10])('is read by pages of %p without a gap or a repetition', async (limit) => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream(unique('cart'), addedUpTo(3), { partition });
      await store.appendToStream(unique('cart'), [added(4)], { partition });
      const pages = await pagesOf(store, { partition, limit });
      expect(valuesOf(pages.flatMap(({ events }) => events))).toEqual([1, 2, 3, 4]);
      for (const page of pages.slice(0, -1)) expect(page.events).toHaveLength(limit);
      expect(pages.at(-1)!.isEnd).toBe(true);
    });

    it('goes on behind a page with what was appended since', async () => {
      const { store, partition } = await suite.tenant();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(2), { partition });
      const first = await store.readAll({ partition });
      await store.appendToStream(stream, [added(3)], { partition });
      const second = await store.readAll({ partition, after: first.position });
      expect(valuesOf(second.events)).toEqual([3]);
      const third = await store.readAll({ partition, after: second.position });
      expect(third).toEqual({ events: [], position: second.position, isEnd: true });
    });

    it('is iterated over any number of pages, to a limit', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream(unique('cart'), addedUpTo(1_200), { partition });
      await store.appendToStream(unique('cart'), addedUpTo(1_145), { partition });
      const all = [...numbers(1_200), ...numbers(1_145)].map((i) => i + 1);
      expect(valuesOf(await collect(store.readAll({ partition })))).toEqual(all);
      expect(valuesOf(await collect(store.readAll({ partition, limit: 1_500 })))).toEqual(
        all.slice(0, 1_500),
      );
      expect(valuesOf(await collect(store.readAll({ partition, limit: 2 })))).toEqual([1, 2]);
      expect((await store.readAll({ partition })).events).toHaveLength(1_000);
    });

    it('is read once by a promise, and anew by each iteration', async () => {
      const { store, partition } = await suite.tenant();
      const stream = unique('cart');
      const read = store.readAll<Change>({ partition });
      await store.appendToStream(stream, [added(1)], { partition });
      expect(valuesOf((await read).events)).toEqual([1]);
      await store.appendToStream(stream, [added(2)], { partition });
      expect(valuesOf((await read).events)).toEqual([1]);
      expect(valuesOf(await collect(read))).toEqual([1, 2]);
    });

    it('is read by types and by category', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream('cart-1', [added(1), removed(2)], { partition });
      await store.appendToStream('order-1', [added(3), { type: 'Paid', data: { n: 4 } }], { partition });
      await store.appendToStream('cart', [added(5)], { partition });
      await store.appendToStream('-cart', [added(6)], { partition });
      const read = async (options: ReadAllOptions) =>
        valuesOf((await store.readAll({ partition, ...options })).events);
      expect(await read({ types: ['Added'] })).toEqual([1, 3, 5, 6]);
      expect(await read({ types: ['Paid', 'Removed'] })).toEqual([2, 4]);
      expect(await read({ types: [] })).toEqual([]);
      expect(await read({ types: ['Unknown'] })).toEqual([]);
      expect(await read({ category: 'cart' })).toEqual([1, 2, 5]);
      expect(await read({ category: 'cart', types: ['Added'] })).toEqual([1, 5]);
      expect(await read({ category: 'cart', types: ['Added'], limit: 1 })).toEqual([1]);
      expect(await read({ category: '-cart' })).toEqual([6]);
      expect(await read({ category: 'car' })).toEqual([]);
    });

    it('has the categories that the store was told', async () => {
      const { store, partition } = await suite.tenant({ categoryOf: (name) => name.split(':')[0]! });
      await store.appendToStream('cart-1:7', [added(1)], { partition });
      await store.appendToStream('cart-2:7', [added(2)], { partition });
      expect(valuesOf((await store.readAll({ partition, category: 'cart-1' })).events)).toEqual([1]);
      expect((await store.readAll({ partition, category: 'cart' })).events).toEqual([]);
    });

    it('is read behind a position, exclusive', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream(unique('cart'), addedUpTo(4), { partition });
      const positions = positionsOf((await store.readAll({ partition })).events);
      for (const i of numbers(4)) {
        const { events } = await store.readAll({ partition, after: positions[i]! });
        expect(valuesOf(events)).toEqual([1, 2, 3, 4].slice(i + 1));
      }
      const { events } = await store.readAll({ partition, after: positions[0]! - 1n, limit: 2 });
      expect(valuesOf(events)).toEqual([1, 2]);
    });

    it('is that of one partition, or of all of them in one order', async () => {
      await suite.own(async ({ store }) => {
        await store.partitions.create('north');
        await store.appendToStream('cart-1', [added(1)]);
        await store.appendToStream('cart-1', [added(2)], { partition: 'north' });
        await store.appendToStream('cart-1', [added(3)]);
        const read = async (partition?: string) => valuesOf((await store.readAll({ partition })).events);
        expect(await read()).toEqual([1, 3]);
        expect(await read('north')).toEqual([2]);
        expect(await read('*')).toEqual([1, 2, 3]);
        expect(valuesOf(await collect(store.readAll({ partition: '*' })))).toEqual([1, 2, 3]);
        const { events } = await store.readAll({ partition: '*' });
        expect(events.map(({ metadata }) => metadata.partition)).toEqual([
          'emt:default',
          'north',
          'emt:default',
        ]);
        expect(await store.head()).toBe(positionsOf(events)[2]);
      });
    });

    it('has a head, which is 0 at first', async () => {
      await suite.own(async ({ store }) => {
        expect(await store.head()).toBe(0n);
        const { lastEventGlobalPosition } = await store.appendToStream('cart-1', addedUpTo(2));
        expect(lastEventGlobalPosition).toBeGreaterThanOrEqual(2n);
        expect(await store.head()).toBe(lastEventGlobalPosition);
      });
    });

    it('shows that a stream was deleted to those who ask for it', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream('cart-1', addedUpTo(2), { partition });
      await store.appendToStream('cart-2', [added(3)], { partition });
      await store.deleteStream('cart-1', { partition });
      expect(valuesOf((await store.readAll({ partition })).events)).toEqual([3]);
      expect(await collect(store.readAll({ partition, category: 'cart' }))).toHaveLength(1);
      const { events } = await store.readAll({ partition, types: ['$StreamDeleted', 'Added'] });
      expect(events.map(({ type, metadata }) => [type, metadata.streamName])).toEqual([
        ['Added', 'cart-2'],
        ['$StreamDeleted', 'cart-1'],
      ]);
      expect(events[1]!.metadata).toMatchObject({ streamPosition: 3n, partition });
    });

    it.each([true, false])(
      'hides nothing that is committed late from those who have read on (%p)',
      async (commits) => {
        const { store, elsewhere, partition } = await suite.tenant();
        const reader = await elsewhere();
        const early = await openSession(store, () =>
          store.appendToStream('early-1', [added(1)], { partition }),
        );
        // It draws its position later, and may be committed before.
        const late = store.appendToStream('late-1', [added(2)], { partition });
        const first = await reader.readAll({ partition });
        await early.end(commits);
        await late;
        const second = await reader.readAll({ partition, after: first.position });
        expect(valuesOf([...first.events, ...second.events])).toEqual(commits ? [1, 2] : [2]);
        expect(valuesOf((await reader.readAll({ partition })).events)).toEqual(commits ? [1, 2] : [2]);
      },
    );

    it('loses nothing and repeats nothing for a reader beside writers', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const writers = [store, await elsewhere()];
      let writing = true;
      const written = (async () => {
        await Promise.all(
          numbers(8).map(async (w) => {
            const stream = unique('cart');
            for (const i of numbers(15)) {
              const writer = writers[w % 2]!;
              const append = () => writer.appendToStream(stream, [added(w * 15 + i)], { partition });
              await (i % 5 === 0 ? writer.withSession(append) : append());
            }
          }),
        );
        writing = false;
      })();
      const seen: number[] = [];
      let after = 0n;
      for (let isDone = false; !isDone;) {
        isDone = !writing;
        for await (const event of store.readAll<Change>({ partition, after })) {
          expect(event.metadata.globalPosition).toBeGreaterThan(after);
          after = event.metadata.globalPosition;
          seen.push(event.data.n);
        }
      }
      await written;
      expect(seen.toSorted((a, b) => a - b)).toEqual(numbers(120));
    });

    it.each<[string, object]>([
      ['after', { after: -1n }],
      ['limit', { limit: 0 }],
      ['limit', { limit: 1.5 }],
      ['category', { category: '' }],
      ['types', { types: 'Added' }],
      ['types[0]', { types: [''] }],
      ['partition', { partition: '' }],
    ])('refuses a bad %s: %p', async (path, options) => {
      const { store } = await suite.scene();
      const refused = { code: 'INVALID_ARGUMENT', path };
      expect(() => store.readAll(options)).toThrow(expect.objectContaining(refused));
    });
  });
}
