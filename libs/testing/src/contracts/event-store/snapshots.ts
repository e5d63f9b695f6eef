/// <reference types="jest" />
import {
  typedCodec,
  type EventStore,
  type ReadStreamOptions,
  type SnapshotOptions,
} from '@nestbox/event-store';
import { added, addedUpTo, failureOf, unique, type Change, type EventStoreSuite } from './subject.js';

/** Sums a stream up, and counts the events that had to be read for it. */
async function sum(
  store: EventStore,
  stream: string,
  snapshot: boolean | SnapshotOptions,
  read: ReadStreamOptions<Change> = {},
): Promise<{ sum: number; events: number; version: bigint }> {
  let events = 0;
  const { state, currentStreamVersion, streamExists } = await store.aggregateStream<{ sum: number }, Change>(
    stream,
    {
      initialState: () => ({ sum: 0 }),
      evolve: (before, { data }) => {
        events++;
        return { sum: before.sum + data.n };
      },
      read,
      snapshot,
    },
  );
  expect(streamExists).toBe(true);
  return { ...state, events, version: currentStreamVersion };
}

export function snapshots(suite: EventStoreSuite): void {
  describe('snapshots', () => {
    it('are used, so that only what came since is read', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(10));
      const snapshot = { every: 5 };
      expect(await sum(store, stream, snapshot)).toEqual({ sum: 55, events: 10, version: 10n });
      expect(await sum(store, stream, snapshot)).toEqual({ sum: 55, events: 0, version: 10n });
      await store.appendToStream(stream, [added(100), added(200)]);
      expect(await sum(other, stream, snapshot)).toEqual({ sum: 355, events: 2, version: 12n });
    });

    it('are not used by those who do not ask for them', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(10));
      await sum(store, stream, { every: 1 });
      expect(await sum(store, stream, false)).toEqual({ sum: 55, events: 10, version: 10n });
    });

    it('are written every so many events, beyond the last one', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const snapshot = { every: 4 };
      await store.appendToStream(stream, addedUpTo(3));
      await sum(store, stream, snapshot);
      expect((await sum(store, stream, snapshot)).events).toBe(3);
      await store.appendToStream(stream, [added(4)]);
      expect((await sum(store, stream, snapshot)).events).toBe(4);
      expect((await sum(store, stream, snapshot)).events).toBe(0);
      await store.appendToStream(stream, addedUpTo(3));
      expect((await sum(store, stream, snapshot)).events).toBe(3);
      expect((await sum(store, stream, snapshot)).events).toBe(3);
      await store.appendToStream(stream, [added(1)]);
      expect((await sum(store, stream, snapshot)).events).toBe(4);
      expect(await sum(store, stream, snapshot)).toEqual({ sum: 17, events: 0, version: 8n });
    });

    it('are written every 100 events if nothing else is said', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(99));
      await sum(store, stream, true);
      expect((await sum(store, stream, true)).events).toBe(99);
      await store.appendToStream(stream, [added(1)]);
      await sum(store, stream, true);
      expect((await sum(store, stream, true)).events).toBe(0);
    });

    it('of another version or name are not used', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(10));
      for (const snapshot of [
        { every: 1 },
        { every: 1, version: 2 },
        { every: 1, name: 'other' },
        { every: 1, name: 'other', version: 2 },
      ]) {
        expect((await sum(store, stream, snapshot)).events).toBe(10);
        expect((await sum(store, stream, snapshot)).events).toBe(0);
      }
      expect((await sum(store, stream, { every: 1, version: 1, name: 'default' })).events).toBe(0);
    });

    it('are neither used nor written where a range is read', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(10));
      const snapshot = { every: 1 };
      expect(await sum(store, stream, snapshot, { to: 3n })).toEqual({ sum: 6, events: 3, version: 10n });
      expect((await sum(store, stream, snapshot)).events).toBe(10);
      expect(await sum(store, stream, snapshot, { to: 3n })).toEqual({ sum: 6, events: 3, version: 10n });
      expect(await sum(store, stream, snapshot, { from: 9n })).toEqual({ sum: 19, events: 2, version: 10n });
      expect(await sum(store, stream, snapshot, { maxCount: 2n })).toEqual({
        sum: 3,
        events: 2,
        version: 10n,
      });
      expect((await sum(store, stream, snapshot)).events).toBe(0);
    });

    it('do not keep an expectation from being checked', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(3));
      await sum(store, stream, { every: 1 });
      const late = sum(store, stream, { every: 1 }, { expectedStreamVersion: 2n });
      await expect(late).rejects.toMatchObject({ code: 'EXPECTED_VERSION_CONFLICT', current: 3n });
      expect((await sum(store, stream, { every: 1 }, { expectedStreamVersion: 3n })).events).toBe(0);
    });

    it('belong to the stream of one partition', async () => {
      const { store, partition } = await suite.tenant();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(3));
      await store.appendToStream(stream, [added(10)], { partition });
      await sum(store, stream, { every: 1 });
      expect(await sum(store, stream, { every: 1 }, { partition })).toEqual({
        sum: 10,
        events: 1,
        version: 1n,
      });
    });

    it('hold what the codec can hold, and are copies', async () => {
      const { store } = await suite.scene({ codec: typedCodec });
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(2));
      const aggregate = () =>
        store.aggregateStream<{ at: Date; items: number[] }, Change>(stream, {
          initialState: () => ({ at: new Date(0), items: [] }),
          evolve: ({ at, items }, { data }) => ({
            at: new Date(at.getTime() + 1),
            items: [...items, data.n],
          }),
          snapshot: { every: 1 },
        });
      const { state } = await aggregate();
      state.items.push(99);
      expect((await aggregate()).state).toEqual({ at: new Date(2), items: [1, 2] });
    });

    it('of what JSON cannot hold are refused, and leave the session as it is', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(2));
      const aggregate = store.aggregateStream<{ at: Date }, Change>(stream, {
        initialState: () => ({ at: new Date(0) }),
        evolve: (state) => state,
        snapshot: { every: 1 },
      });
      expect(await failureOf(aggregate)).toMatchObject({ code: 'INVALID_ARGUMENT', path: 'state.at' });
    });

    it('that a session wrote go with its rollback', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(2));
      const session = store.withSession(async ({ eventStore }) => {
        await eventStore.appendToStream(stream, [added(100)]);
        expect((await sum(eventStore, stream, { every: 1 })).sum).toBe(103);
        throw new Error('rolled back');
      });
      await expect(session).rejects.toThrow('rolled back');
      expect(await sum(store, stream, { every: 1 })).toEqual({ sum: 3, events: 2, version: 2n });
    });

    it('do not come true for a stream that takes the place of what was read', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(2));
      await sum(store, stream, { every: 1 });
      await store.deleteStream(stream);
      const { state, streamExists } = await store.aggregateStream<{ sum: number }, Change>(stream, {
        initialState: () => ({ sum: 0 }),
        evolve: (before) => before,
        snapshot: true,
      });
      expect({ state, streamExists }).toEqual({ state: { sum: 0 }, streamExists: false });
    });

    it.each<[string, object]>([
      ['snapshot.every', { every: 0 }],
      ['snapshot.version', { version: 0.5 }],
      ['snapshot.name', { name: '' }],
    ])('refuse a bad %s', async (path, snapshot) => {
      const { store } = await suite.scene();
      const aggregate = store.aggregateStream('a', { initialState: () => 0, evolve: () => 0, snapshot });
      await expect(aggregate).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path });
    });
  });
}
