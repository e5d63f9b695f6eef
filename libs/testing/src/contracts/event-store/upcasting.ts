/// <reference types="jest" />
import type { Event, ReadEvent, Upcast } from '@nestbox/event-store';
import {
  added,
  addedUpTo,
  collect,
  unique,
  valuesOf,
  type Added,
  type Change,
  type EventStoreSuite,
} from './subject.js';

const numberOf = (event: ReadEvent): number => (event.data as Change['data']).n;

const withNumber = (event: ReadEvent, n: number): ReadEvent => ({ ...event, data: { n } });

/** Each number becomes another one. */
const mapped =
  (fn: (n: number) => number): Upcast =>
  (event) =>
    withNumber(event, fn(numberOf(event)));

/** 1 is dropped, 2 becomes two events, and others stay as they are. */
const split: Upcast = (event) => {
  const n = numberOf(event);
  if (n === 1) return [];
  return n === 2 ? [event, withNumber(event, 2.5)] : event;
};

export function upcasting(suite: EventStoreSuite): void {
  describe('upcasting', () => {
    it('shows events as they look today, in all that is read', async () => {
      const { store, partition } = await suite.tenant({ upcast: mapped((n) => n * 10) });
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(3), { partition });
      const expected = [10, 20, 30];
      expect(valuesOf((await store.readStream(stream, { partition })).events)).toEqual(expected);
      expect(valuesOf(await collect(store.streamEvents(stream, { partition })))).toEqual(expected);
      expect(valuesOf((await store.readAll({ partition })).events)).toEqual(expected);
      expect(valuesOf(await collect(store.readAll({ partition })))).toEqual(expected);
      const { state } = await store.aggregateStream<number[], Change>(stream, {
        initialState: () => [],
        evolve: (all, { data }) => [...all, data.n],
        read: { partition },
      });
      expect(state).toEqual(expected);
    });

    it('may make several events of one, or none, and leaves the version as it is', async () => {
      const { store } = await suite.scene({ upcast: split });
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(3));
      const { events, currentStreamVersion } = await store.readStream(stream);
      expect(valuesOf(events)).toEqual([2, 2.5, 3]);
      expect(events.map(({ metadata }) => metadata.streamPosition)).toEqual([2n, 2n, 3n]);
      expect(currentStreamVersion).toBe(3n);
      expect(await store.readStream(stream, { to: 1n })).toEqual({
        events: [],
        currentStreamVersion: 3n,
        streamExists: true,
      });
      expect(valuesOf((await store.readStream(stream, { maxCount: 2n })).events)).toEqual([2, 2.5]);
    });

    it('goes on behind pages of which nothing is left', async () => {
      const { store, partition } = await suite.tenant({
        upcast: (event) => (numberOf(event) < 1_500 ? [] : event),
      });
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(1_501), { partition });
      expect(valuesOf(await collect(store.streamEvents(stream, { partition })))).toEqual([1_500, 1_501]);
      expect(valuesOf(await collect(store.readAll({ partition })))).toEqual([1_500, 1_501]);
    });

    it("comes in the order of the store's, the call's, and that of the call's schema", async () => {
      const { store } = await suite.scene({ upcast: mapped((n) => n + 1) });
      const stream = unique('cart');
      await store.appendToStream(stream, [added(1)]);
      const versioning = {
        upcast: ({ data }: Added): Event<'Text', string> => ({ type: 'Text', data: `<${data.n}>` }),
      };
      const options = { upcast: mapped((n) => n * 10), schema: { versioning } };
      const { events } = await store.readStream<Event<'Text', string>, Added>(stream, options);
      expect(events.map(({ type, data }) => [type, data])).toEqual([['Text', '<20>']]);
      const page = await store.readAll({ after: 0n, category: 'cart', limit: 1, upcast: mapped(() => 7) });
      expect(valuesOf(page.events)).toEqual([7]);
    });
  });
}
