/// <reference types="jest" />
import type { ExpectedStreamVersion } from '@nestbox/event-store';
import {
  added,
  addedUpTo,
  collect,
  numbers,
  unique,
  valuesIn,
  withId,
  type EventStoreSuite,
} from './subject.js';

/** Streams of so many events, and whether a deletion that expects this goes through. */
const DELETIONS: [events: number, expected: ExpectedStreamVersion, outcome: boolean | 'conflict'][] = [
  [0, 'NO_CONCURRENCY_CHECK', false],
  [0, 'STREAM_DOES_NOT_EXIST', false],
  [0, 0n, false],
  [0, 'STREAM_EXISTS', 'conflict'],
  [0, 1n, 'conflict'],
  [2, 'NO_CONCURRENCY_CHECK', true],
  [2, 'STREAM_EXISTS', true],
  [2, 2n, true],
  [2, 'STREAM_DOES_NOT_EXIST', 'conflict'],
  [2, 0n, 'conflict'],
  [2, 1n, 'conflict'],
  [2, 3n, 'conflict'],
];

export function ending(suite: EventStoreSuite): void {
  describe('archiving a stream', () => {
    it('keeps events from being appended, and lets them be read', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(2));
      expect(await store.archiveStream(stream)).toBe(true);
      for (const options of [
        {},
        { expectedStreamVersion: 2n },
        { expectedStreamVersion: 'STREAM_EXISTS' },
      ] as const) {
        await expect(store.appendToStream(stream, [added(3)], options)).rejects.toMatchObject({
          code: 'STREAM_ARCHIVED',
          streamName: stream,
        });
      }
      const { events, currentStreamVersion, streamExists } = await store.readStream(stream);
      expect([events.length, currentStreamVersion, streamExists]).toEqual([2, 2n, true]);
      expect(await store.streamExists(stream)).toBe(true);
      expect((await store.listStreams({ prefix: stream })).streams).toMatchObject([
        { streamName: stream, state: 'archived', version: 2n },
      ]);
    });

    it('ends with unarchiving', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, [added(1)]);
      await store.archiveStream(stream);
      expect(await store.unarchiveStream(stream)).toBe(true);
      expect(await store.appendToStream(stream, [added(2)], { expectedStreamVersion: 1n })).toMatchObject({
        nextExpectedStreamVersion: 2n,
        createdNewStream: false,
      });
      expect((await store.listStreams({ prefix: stream })).streams).toMatchObject([{ state: 'open' }]);
    });

    it('may be done twice, and says whether there is such a stream', async () => {
      const { store } = await suite.scene();
      const [stream, absent, deleted] = [unique('cart'), unique('cart'), unique('cart')];
      await store.appendToStream(stream, [added(1)]);
      expect([await store.archiveStream(stream), await store.archiveStream(stream)]).toEqual([true, true]);
      expect([await store.unarchiveStream(stream), await store.unarchiveStream(stream)]).toEqual([
        true,
        true,
      ]);
      expect([await store.archiveStream(absent), await store.unarchiveStream(absent)]).toEqual([
        false,
        false,
      ]);
      await store.appendToStream(deleted, [added(1)]);
      await store.deleteStream(deleted);
      expect([await store.archiveStream(deleted), await store.unarchiveStream(deleted)]).toEqual([
        false,
        false,
      ]);
      expect(await store.appendToStream(absent, [added(1)])).toMatchObject({ createdNewStream: true });
    });

    it('means the stream of one partition', async () => {
      const { store, partition } = await suite.tenant();
      const stream = unique('cart');
      await store.appendToStream(stream, [added(1)]);
      await store.appendToStream(stream, [added(1)], { partition });
      await store.archiveStream(stream, { partition });
      await store.appendToStream(stream, [added(2)]);
      await expect(store.appendToStream(stream, [added(2)], { partition })).rejects.toMatchObject({
        code: 'STREAM_ARCHIVED',
      });
    });
  });

  describe('deleting a stream', () => {
    it('makes an end of its events', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(3));
      expect(await store.deleteStream(stream)).toBe(true);
      expect(await store.readStream(stream)).toEqual({
        events: [],
        currentStreamVersion: 0n,
        streamExists: false,
      });
      expect(await store.readStream(stream, { backwards: true, maxCount: 1n })).toMatchObject({ events: [] });
      expect(await collect(store.streamEvents(stream))).toEqual([]);
      expect(await store.streamExists(stream)).toBe(false);
      expect(await store.appendToStream(stream, [])).toEqual({
        nextExpectedStreamVersion: 0n,
        createdNewStream: false,
        lastEventGlobalPosition: 0n,
      });
      const fold = { initialState: () => 0, evolve: (n: number) => n + 1, snapshot: true };
      expect(await store.aggregateStream(stream, fold)).toMatchObject({ state: 0, streamExists: false });
    });

    it('keeps its name from being used again', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, [withId('one', added(1))]);
      await store.deleteStream(stream);
      for (const expectedStreamVersion of [
        'STREAM_DOES_NOT_EXIST',
        'NO_CONCURRENCY_CHECK',
        0n,
        1n,
      ] as const) {
        const append = store.appendToStream(stream, [withId('one', added(1))], { expectedStreamVersion });
        await expect(append).rejects.toMatchObject({ code: 'STREAM_DELETED', streamName: stream });
      }
      expect(await valuesIn(store, stream)).toEqual([]);
      expect((await store.listStreams({ prefix: stream })).streams).toMatchObject([{ state: 'deleted' }]);
    });

    it('that is not there, or was deleted before, does nothing', async () => {
      const { store, partition } = await suite.tenant();
      const stream = unique('cart');
      expect(await store.deleteStream(stream, { partition })).toBe(false);
      expect((await store.listStreams({ partition })).streams).toEqual([]);
      await store.appendToStream(stream, [added(1)], { partition });
      expect(await store.deleteStream(stream, { partition })).toBe(true);
      expect(await store.deleteStream(stream, { partition })).toBe(false);
      const gone = { partition, expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' } as const;
      expect(await store.deleteStream(stream, gone)).toBe(false);
      await expect(
        store.deleteStream(stream, { partition, expectedStreamVersion: 'STREAM_EXISTS' }),
      ).rejects.toMatchObject({ code: 'EXPECTED_VERSION_CONFLICT', current: 0n });
      expect((await store.readAll({ partition, types: ['$StreamDeleted'] })).events).toHaveLength(1);
    });

    it.each(DELETIONS)('of %p events that is expected to be at %p gives %p', async (...row) => {
      const [events, expectedStreamVersion, outcome] = row;
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(events));
      const deletion = store.deleteStream(stream, { expectedStreamVersion });
      if (outcome !== 'conflict') {
        expect(await deletion).toBe(outcome);
        expect(await store.streamExists(stream)).toBe(false);
        return;
      }
      await expect(deletion).rejects.toMatchObject({
        code: 'EXPECTED_VERSION_CONFLICT',
        streamName: stream,
        current: BigInt(events),
        expected: expectedStreamVersion,
      });
      expect(await valuesIn(store, stream)).toHaveLength(events);
    });

    it('works for an archived one, and in one partition', async () => {
      const { store, partition } = await suite.tenant();
      const stream = unique('cart');
      await store.appendToStream(stream, [added(1)]);
      await store.appendToStream(stream, [added(2)], { partition });
      await store.archiveStream(stream, { partition });
      expect(await store.deleteStream(stream, { partition })).toBe(true);
      expect(await valuesIn(store, stream)).toEqual([1]);
      expect(await store.streamExists(stream, { partition })).toBe(false);
    });

    it('and appending at once come one after the other', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      for (const _ of numbers(5)) {
        const stream = unique('cart');
        await store.appendToStream(stream, [added(1)]);
        const results = await Promise.allSettled([
          ...numbers(4).map((i) => store.appendToStream(stream, [added(i)])),
          other.deleteStream(stream),
          ...numbers(4).map((i) => store.appendToStream(stream, [added(i)])),
        ]);
        expect(results[4]).toEqual({ status: 'fulfilled', value: true });
        for (const result of results) {
          if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'STREAM_DELETED' });
        }
        expect(await valuesIn(store, stream)).toEqual([]);
      }
    });
  });
}
