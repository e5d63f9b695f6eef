/// <reference types="jest" />
import {
  ExpectedVersionConflictError,
  NO_CONCURRENCY_CHECK,
  STREAM_DOES_NOT_EXIST,
  STREAM_EXISTS,
  type EventStore,
  type ExpectedStreamVersion,
} from '@nestbox/event-store';
import { added, addedUpTo, failureOf, numbers, unique, valuesIn, type EventStoreSuite } from './subject.js';

/** Streams of so many events, and whether an append that expects this goes through. */
const CASES: [events: number, expected: ExpectedStreamVersion | undefined, holds: boolean][] = [
  [0, undefined, true],
  [0, NO_CONCURRENCY_CHECK, true],
  [0, STREAM_DOES_NOT_EXIST, true],
  [0, 0n, true],
  [0, STREAM_EXISTS, false],
  [0, 1n, false],
  [0, 2n ** 63n - 1n, false],
  [3, undefined, true],
  [3, NO_CONCURRENCY_CHECK, true],
  [3, STREAM_EXISTS, true],
  [3, 3n, true],
  [3, STREAM_DOES_NOT_EXIST, false],
  [3, 0n, false],
  [3, 2n, false],
  [3, 4n, false],
];

async function streamOf(store: EventStore, events: number): Promise<string> {
  const stream = unique('cart');
  await store.appendToStream(stream, addedUpTo(events));
  return stream;
}

export function expectations(suite: EventStoreSuite): void {
  describe('expectations', () => {
    it.each(CASES)(
      'a stream of %p events that is expected to be at %p takes an append: %p',
      async (...row) => {
        const [events, expectedStreamVersion, holds] = row;
        const { store } = await suite.scene();
        const stream = await streamOf(store, events);
        const append = store.appendToStream(stream, [added(10)], {
          ...(expectedStreamVersion !== undefined && { expectedStreamVersion }),
        });
        if (holds) {
          expect(await append).toMatchObject({
            nextExpectedStreamVersion: BigInt(events + 1),
            createdNewStream: events === 0,
          });
          return;
        }
        const error = await failureOf(append);
        expect(error).toBeInstanceOf(ExpectedVersionConflictError);
        expect(error).toMatchObject({
          code: 'EXPECTED_VERSION_CONFLICT',
          streamName: stream,
          current: BigInt(events),
          expected: expectedStreamVersion,
        });
        expect(await valuesIn(store, stream)).toEqual(numbers(events).map((i) => i + 1));
        expect(await store.streamExists(stream)).toBe(events > 0);
      },
    );

    it.each(CASES)('a stream of %p events that is expected to be at %p is read: %p', async (...row) => {
      const [events, expectedStreamVersion, holds] = row;
      const { store } = await suite.scene();
      const stream = await streamOf(store, events);
      const read = store.readStream(stream, {
        from: 2n,
        ...(expectedStreamVersion !== undefined && { expectedStreamVersion }),
      });
      if (holds) expect((await read).currentStreamVersion).toBe(BigInt(events));
      else
        await expect(read).rejects.toMatchObject({
          code: 'EXPECTED_VERSION_CONFLICT',
          current: BigInt(events),
        });
    });

    it('are enforced for the second writer, who hears the version that the first one made', async () => {
      const { store, elsewhere } = await suite.scene();
      const other = await elsewhere();
      const stream = await streamOf(store, 2);
      await other.appendToStream(stream, addedUpTo(3), { expectedStreamVersion: 2n });
      const late = store.appendToStream(stream, [added(1)], { expectedStreamVersion: 2n });
      await expect(late).rejects.toMatchObject({ current: 5n, expected: 2n });
    });

    it('let exactly one of many concurrent writers win, and tell the others the true version', async () => {
      const { store, elsewhere } = await suite.scene();
      const stores = [store, await elsewhere()];
      for (const expectedStreamVersion of [0n, 2n, STREAM_DOES_NOT_EXIST] as const) {
        const stream = await streamOf(store, expectedStreamVersion === 2n ? 2 : 0);
        const base = expectedStreamVersion === 2n ? 2n : 0n;
        const results = await Promise.allSettled(
          numbers(20).map((i) =>
            stores[i % 2]!.appendToStream(stream, [added(100 + i), added(200 + i)], {
              expectedStreamVersion,
            }),
          ),
        );
        const won = results.flatMap((result, i) => (result.status === 'fulfilled' ? [i] : []));
        expect(won).toHaveLength(1);
        for (const result of results) {
          if (result.status === 'fulfilled') continue;
          expect(result.reason).toMatchObject({ code: 'EXPECTED_VERSION_CONFLICT', current: base + 2n });
        }
        const values = await valuesIn(store, stream);
        expect(values.slice(Number(base))).toEqual([100 + won[0]!, 200 + won[0]!]);
      }
    });

    it('lose nothing when every writer reads and tries again', async () => {
      const { store, elsewhere } = await suite.scene();
      const stores = [store, await elsewhere()];
      const stream = unique('cart');
      await Promise.all(
        numbers(16).map(async (i) => {
          const writer = stores[i % 2]!;
          for (;;) {
            const { currentStreamVersion } = await writer.readStream(stream);
            try {
              await writer.appendToStream(stream, [added(i)], {
                expectedStreamVersion: currentStreamVersion,
              });
              return;
            } catch (error) {
              expect(error).toBeInstanceOf(ExpectedVersionConflictError);
            }
          }
        }),
      );
      expect((await valuesIn(store, stream)).toSorted((a, b) => a - b)).toEqual(numbers(16));
    });

    it('that are not given let 50 concurrent appends to one stream all succeed', async () => {
      const { store, elsewhere } = await suite.scene();
      const stores = [store, await elsewhere()];
      const stream = unique('cart');
      const results = await Promise.all(
        numbers(50).map((i) => stores[i % 2]!.appendToStream(stream, [added(i)])),
      );
      const versions = results.map(({ nextExpectedStreamVersion }) => Number(nextExpectedStreamVersion));
      expect(versions.toSorted((a, b) => a - b)).toEqual(numbers(50).map((i) => i + 1));
      expect(results.filter(({ createdNewStream }) => createdNewStream)).toHaveLength(1);
      const values = await valuesIn(store, stream);
      expect(values.toSorted((a, b) => a - b)).toEqual(numbers(50));
      // Each was told the place that its event has.
      for (const [i, version] of versions.entries()) expect(values[version - 1]).toBe(i);
    });

    it('keep the order in which one caller appends without waiting', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await Promise.all(numbers(100).map((i) => store.appendToStream(stream, [added(i)])));
      expect(await valuesIn(store, stream)).toEqual(numbers(100));
    });

    it.each(['some', -1n, -1, 0.5, 2n ** 63n, null, {}, ''])('cannot be %p', async (bad) => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const options = { expectedStreamVersion: bad as bigint };
      const refused = { code: 'INVALID_ARGUMENT', path: 'expectedStreamVersion' };
      await expect(store.appendToStream(stream, [added(1)], options)).rejects.toMatchObject(refused);
      await expect(store.appendToStream(stream, [], options)).rejects.toMatchObject(refused);
      await expect(store.readStream(stream, options)).rejects.toMatchObject(refused);
      await expect(store.deleteStream(stream, options)).rejects.toMatchObject(refused);
      expect(await store.streamExists(stream)).toBe(false);
    });
  });
}
