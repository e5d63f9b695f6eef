/// <reference types="jest" />
import { runInRootScope } from '@nestbox/core';
import type { EventStore } from '@nestbox/event-store';
import { added, failureOf, numbers, unique, valuesIn, valuesOf, type EventStoreSuite } from './subject.js';

const FAILURE = new Error('changed my mind');

/** Runs a session that fails in the end. */
async function failing(store: EventStore, fn: (its: EventStore) => Promise<unknown>): Promise<void> {
  const error = await failureOf(
    store.withSession(async ({ eventStore }) => {
      await fn(eventStore);
      throw FAILURE;
    }),
  );
  expect(error).toBe(FAILURE);
}

export function sessions(suite: EventStoreSuite): void {
  describe('a session', () => {
    it('appends to several streams, and gives back what its function returns', async () => {
      const { store } = await suite.scene();
      const [a, b] = [unique('cart'), unique('cart')];
      const result = await store.withSession(async (session) => {
        const { eventStore } = session;
        await eventStore.appendToStream(a, [added(1)]);
        const { nextExpectedStreamVersion } = await eventStore.appendToStream(b, [added(2), added(3)]);
        await session.close();
        return nextExpectedStreamVersion;
      });
      expect(result).toBe(2n);
      expect(await valuesIn(store, a)).toEqual([1]);
      expect(await valuesIn(store, b)).toEqual([2, 3]);
    });

    it('that fails leaves no event, and no gap in the versions', async () => {
      const { store, partition } = await suite.tenant();
      const [there, fresh] = [unique('cart'), unique('cart')];
      await store.appendToStream(there, [added(1)], { partition });
      await failing(store, async (its) => {
        await its.appendToStream(there, [added(2)], { partition });
        await its.appendToStream(fresh, [added(3)], { partition });
      });
      expect(await valuesIn(store, there, partition)).toEqual([1]);
      expect(await store.streamExists(fresh, { partition })).toBe(false);
      expect((await store.listStreams({ partition })).streams).toHaveLength(1);
      expect(valuesOf((await store.readAll({ partition })).events)).toEqual([1]);
      expect(
        await store.appendToStream(there, [added(4)], { partition, expectedStreamVersion: 1n }),
      ).toMatchObject({
        nextExpectedStreamVersion: 2n,
      });
      const onFresh = { partition, expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' } as const;
      expect(await store.appendToStream(fresh, [added(5)], onFresh)).toMatchObject({
        createdNewStream: true,
      });
      expect(valuesOf((await store.readAll({ partition })).events)).toEqual([1, 4, 5]);
    });

    it('that a conflict ends leaves nothing of the appends before it', async () => {
      const { store } = await suite.scene();
      const [a, b] = [unique('cart'), unique('cart')];
      await store.appendToStream(b, [added(1)]);
      const session = store.withSession(async ({ eventStore }) => {
        await eventStore.appendToStream(a, [added(1)]);
        await eventStore.appendToStream(b, [added(2)], { expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' });
      });
      await expect(session).rejects.toMatchObject({
        code: 'EXPECTED_VERSION_CONFLICT',
        streamName: b,
        current: 1n,
      });
      expect(await store.streamExists(a)).toBe(false);
      expect(await valuesIn(store, b)).toEqual([1]);
    });

    it('goes on after a conflict that it catches', async () => {
      const { store } = await suite.scene();
      const [a, b] = [unique('cart'), unique('cart')];
      await store.withSession(async ({ eventStore }) => {
        const conflict = eventStore.appendToStream(a, [added(1)], { expectedStreamVersion: 7n });
        await expect(conflict).rejects.toMatchObject({ current: 0n });
        expect(await eventStore.streamExists(a)).toBe(false);
        await eventStore.appendToStream(b, [added(2)]);
      });
      expect(await store.streamExists(a)).toBe(false);
      expect(await valuesIn(store, b)).toEqual([2]);
    });

    it('reads its own writes, which others see once it is over', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const stream = unique('cart');
      await store.appendToStream(stream, [added(1)]);
      await store.withSession(async ({ eventStore }) => {
        await eventStore.appendToStream(stream, [added(2)]);
        expect(await valuesIn(eventStore, stream)).toEqual([1, 2]);
        expect((await eventStore.readStream(stream, { maxCount: 1n })).currentStreamVersion).toBe(2n);
        const next = { expectedStreamVersion: 2n };
        expect(await eventStore.appendToStream(stream, [added(3)], next)).toMatchObject({
          nextExpectedStreamVersion: 3n,
        });
        expect(await eventStore.appendToStream(stream, [])).toMatchObject({ nextExpectedStreamVersion: 3n });
        // As somebody would who is no part of the session.
        expect(await runInRootScope(() => valuesIn(other, stream))).toEqual([1]);
      });
      expect(await valuesIn(other, stream)).toEqual([1, 2, 3]);
    });

    it('covers archiving and deleting', async () => {
      const { store } = await suite.scene();
      const [a, b] = [unique('cart'), unique('cart')];
      await store.appendToStream(a, [added(1)]);
      await store.appendToStream(b, [added(2)]);
      await failing(store, async (its) => {
        await its.archiveStream(a);
        await its.deleteStream(b);
        await expect(its.appendToStream(a, [added(1)])).rejects.toMatchObject({ code: 'STREAM_ARCHIVED' });
        expect(await its.streamExists(b)).toBe(false);
      });
      await store.appendToStream(a, [added(3)]);
      expect(await valuesIn(store, a)).toEqual([1, 3]);
      expect(await valuesIn(store, b)).toEqual([2]);
    });

    it('inside of another is a savepoint: when it fails, the outer one may go on', async () => {
      const { store } = await suite.scene();
      const [a, b, c, d] = [unique('cart'), unique('cart'), unique('cart'), unique('cart')];
      await store.withSession(async ({ eventStore }) => {
        await eventStore.appendToStream(a, [added(1)]);
        await failing(eventStore, async (its) => {
          await its.appendToStream(a, [added(2)]);
          await its.appendToStream(b, [added(2)]);
          expect(await valuesIn(its, a)).toEqual([1, 2]);
        });
        expect(await valuesIn(eventStore, a)).toEqual([1]);
        await eventStore.withSession((inner) => inner.eventStore.appendToStream(c, [added(3)]));
        await eventStore.appendToStream(d, [added(4)]);
      });
      expect(await valuesIn(store, a)).toEqual([1]);
      expect(await store.streamExists(b)).toBe(false);
      expect(await valuesIn(store, c)).toEqual([3]);
      expect(await valuesIn(store, d)).toEqual([4]);
    });

    it('inside of another goes with the outer one when that fails', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await failing(store, (its) =>
        its.withSession(({ eventStore }) => eventStore.appendToStream(stream, [added(1)])),
      );
      expect(await store.streamExists(stream)).toBe(false);
    });

    it('may do nothing at all', async () => {
      const { store } = await suite.scene();
      expect(await store.withSession(async () => undefined)).toBeUndefined();
      await failing(store, async () => undefined);
    });

    it('passes on what is not an error, too', async () => {
      const { store } = await suite.scene();
      // oxlint-disable-next-line prefer-promise-reject-errors -- what users may do
      const session = store.withSession(() => Promise.reject('just text'));
      expect(await failureOf(session)).toBe('just text');
    });

    it('keeps appends whole for those who read beside it', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const other = await elsewhere();
      const pairs = numbers(10).map(() => [unique('a'), unique('b')] as const);
      let writing = true;
      const written = (async () => {
        for (const [a, b] of pairs) {
          await store.withSession(async ({ eventStore }) => {
            await eventStore.appendToStream(a, [added(1)], { partition });
            await eventStore.appendToStream(b, [added(1)], { partition });
          });
        }
        writing = false;
      })();
      while (writing) {
        const { events } = await other.readAll({ partition });
        expect(events.length % 2).toBe(0);
      }
      await written;
      expect((await other.readAll({ partition })).events).toHaveLength(20);
    });

    it('of many at once on streams of their own all succeed', async () => {
      const { store, elsewhere } = await suite.scene();
      const stores = [store, await elsewhere()];
      const shared = unique('cart');
      await Promise.all(
        numbers(20).map((i) =>
          stores[i % 2]!.withSession(async ({ eventStore }) => {
            await eventStore.appendToStream(unique('cart'), [added(i)]);
            await eventStore.appendToStream(shared, [added(i)]);
          }),
        ),
      );
      expect((await valuesIn(store, shared)).toSorted((a, b) => a - b)).toEqual(numbers(20));
    });
  });
}
