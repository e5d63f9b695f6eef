/// <reference types="jest" />
import type { ReadStreamOptions } from '@nestbox/event-store';
import fc from 'fast-check';
import {
  added,
  addedUpTo,
  collect,
  numbers,
  unique,
  valuesIn,
  valuesOf,
  type Change,
  type EventStoreSuite,
} from './subject.js';

const LENGTH = 8;
const position = fc.option(fc.bigInt({ min: 0n, max: BigInt(LENGTH + 2) }), { nil: undefined });
const ranges = fc.record(
  { from: position, to: position, maxCount: position, backwards: fc.boolean() },
  { requiredKeys: [] },
);
type Range = Pick<ReadStreamOptions, 'from' | 'to' | 'maxCount' | 'backwards'>;

/** The events that a range of a stream of 1, 2, 3… has. */
function expectedOf(length: number, { from, to, maxCount, backwards = false }: Range): number[] {
  const [low, high] = backwards ? [to, from] : [from, to];
  const found = numbers(length)
    .map((i) => i + 1)
    .filter((n) => n >= (low ?? 0n) && (high === undefined || n <= high));
  if (backwards) found.reverse();
  return found.slice(0, maxCount === undefined ? undefined : Number(maxCount));
}

/** More than two pages of any backend. */
const MANY = 2_345;

export function reading(suite: EventStoreSuite): void {
  describe('reading a stream', () => {
    it('gives all of it, with its version', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(5));
      const { events, currentStreamVersion, streamExists } = await store.readStream<Change>(stream);
      expect(valuesOf(events)).toEqual([1, 2, 3, 4, 5]);
      expect({ currentStreamVersion, streamExists }).toEqual({
        currentStreamVersion: 5n,
        streamExists: true,
      });
    });

    it('that is not there gives no events and version 0', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const absent = { events: [], currentStreamVersion: 0n, streamExists: false };
      expect(await store.readStream(stream)).toEqual(absent);
      expect(await store.readStream(stream, { from: 3n, to: 9n, maxCount: 2n })).toEqual(absent);
      expect(await store.readStream(stream, { backwards: true })).toEqual(absent);
      expect(await collect(store.streamEvents(stream))).toEqual([]);
      expect(await store.streamExists(stream)).toBe(false);
      const fold = { initialState: () => 0, evolve: (sum: number) => sum + 1 };
      expect(await store.aggregateStream(stream, fold)).toEqual({
        state: 0,
        currentStreamVersion: 0n,
        streamExists: false,
      });
    });

    it.each<[string, Range, number[]]>([
      ['from', { from: 3n }, [3, 4, 5]],
      ['to', { to: 3n }, [1, 2, 3]],
      ['from and to', { from: 2n, to: 4n }, [2, 3, 4]],
      ['from equal to to', { from: 3n, to: 3n }, [3]],
      ['from behind to', { from: 4n, to: 3n }, []],
      ['from behind the end', { from: 6n }, []],
      ['maxCount', { maxCount: 2n }, [1, 2]],
      ['maxCount 1', { maxCount: 1n }, [1]],
      ['maxCount 0', { maxCount: 0n }, []],
      ['maxCount beyond the end', { maxCount: 100n }, [1, 2, 3, 4, 5]],
      ['from and maxCount', { from: 2n, maxCount: 2n }, [2, 3]],
      ['all three, of which to ends it', { from: 2n, to: 3n, maxCount: 5n }, [2, 3]],
      ['all three, of which maxCount ends it', { from: 2n, to: 5n, maxCount: 2n }, [2, 3]],
      ['backwards', { backwards: true }, [5, 4, 3, 2, 1]],
      ['backwards with maxCount', { backwards: true, maxCount: 2n }, [5, 4]],
      ['backwards with from', { backwards: true, from: 3n }, [3, 2, 1]],
      ['backwards with to', { backwards: true, to: 4n }, [5, 4]],
      ['backwards with all three', { backwards: true, from: 4n, to: 1n, maxCount: 2n }, [4, 3]],
    ])('by %s gives exactly that, and the version of the whole stream', async (_, range, expected) => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(5));
      const { events, currentStreamVersion, streamExists } = await store.readStream<Change>(stream, range);
      expect(valuesOf(events)).toEqual(expected);
      expect(events.map(({ metadata }) => Number(metadata.streamPosition))).toEqual(expected);
      expect({ currentStreamVersion, streamExists }).toEqual({
        currentStreamVersion: 5n,
        streamExists: true,
      });
      expect(valuesOf(await collect(store.streamEvents<Change>(stream, range)))).toEqual(expected);
    });

    it('by any range gives what the same range of an array has', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(LENGTH));
      await fc.assert(
        fc.asyncProperty(ranges, async (range) => {
          const { events, currentStreamVersion } = await store.readStream<Change>(stream, range);
          expect(valuesOf(events)).toEqual(expectedOf(LENGTH, range));
          expect(currentStreamVersion).toBe(BigInt(LENGTH));
        }),
        { numRuns: 100 },
      );
    });

    it('event by event goes over any number of pages', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(MANY));
      const all = numbers(MANY).map((i) => i + 1);
      expect(valuesOf(await collect(store.streamEvents<Change>(stream)))).toEqual(all);
      for (const range of [
        { backwards: true },
        { from: 7n, to: 2_222n },
        { from: 7n, maxCount: 2_000n },
        { backwards: true, from: 2_300n, to: 11n },
        { backwards: true, maxCount: 1_001n },
        { maxCount: 1_000n },
      ] satisfies Range[]) {
        const found = valuesOf(await collect(store.streamEvents<Change>(stream, range)));
        expect(found).toEqual(expectedOf(MANY, range));
      }
      expect(await valuesIn(store, stream)).toEqual(all);
      const { state } = await store.aggregateStream<number, Change>(stream, {
        initialState: () => 0,
        evolve: (sum, { data }) => sum + data.n,
      });
      expect(state).toBe((MANY * (MANY + 1)) / 2);
    });

    it('event by event may be left at any time', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(5));
      const found: number[] = [];
      for await (const { data } of store.streamEvents<Change>(stream)) {
        found.push(data.n);
        if (found.length === 2) break;
      }
      expect(found).toEqual([1, 2]);
      expect(await valuesIn(store, stream)).toHaveLength(5);
    });

    it('gives copies, which nobody shares', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      const event = { type: 'Listed', data: { items: [1] } };
      await store.appendToStream(stream, [event]);
      event.data.items.push(2);
      const first = (await store.readStream<typeof event>(stream)).events[0]!;
      first.data.items.push(3);
      expect((await store.readStream(stream)).events[0]!.data).toEqual({ items: [1] });
    });

    it.each<[string, object]>([
      ['from', { from: -1n }],
      ['from', { from: 1.5 }],
      ['from', { from: '1' }],
      ['to', { to: -1n }],
      ['to', { to: 2n ** 63n }],
      ['maxCount', { maxCount: -1n }],
      ['maxCount', { maxCount: 0.5 }],
    ])('refuses a bad %s: %p', async (name, range) => {
      const { store } = await suite.scene();
      const refused = { code: 'INVALID_ARGUMENT', path: `options.${name}` };
      await expect(store.readStream('a', range)).rejects.toMatchObject(refused);
      await expect(collect(store.streamEvents('a', range))).rejects.toMatchObject(refused);
    });

    it('refuses what names no stream', async () => {
      const { store } = await suite.scene();
      const refused = { code: 'INVALID_ARGUMENT', path: 'streamName' };
      for (const bad of ['', 5, undefined, 'a\0'] as string[]) {
        await expect(store.readStream(bad)).rejects.toMatchObject(refused);
        await expect(store.streamExists(bad)).rejects.toMatchObject(refused);
        await expect(collect(store.streamEvents(bad))).rejects.toMatchObject(refused);
      }
    });
  });

  describe('aggregating a stream', () => {
    const fold = {
      initialState: () => [] as number[],
      evolve: (all: number[], { data }: Change) => [...all, data.n],
    };

    it('folds its events, in order', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(4));
      expect(await store.aggregateStream<number[], Change>(stream, fold)).toEqual({
        state: [1, 2, 3, 4],
        currentStreamVersion: 4n,
        streamExists: true,
      });
    });

    it('up to a version gives the state as of then, and the version of now', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, addedUpTo(4));
      for (const read of [{ to: 2n }, { maxCount: 2n }]) {
        expect(await store.aggregateStream<number[], Change>(stream, { ...fold, read })).toEqual({
          state: [1, 2],
          currentStreamVersion: 4n,
          streamExists: true,
        });
      }
    });

    it('checks an expectation', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, [added(1)]);
      const read = { expectedStreamVersion: 2n };
      await expect(store.aggregateStream<number[], Change>(stream, { ...fold, read })).rejects.toMatchObject({
        code: 'EXPECTED_VERSION_CONFLICT',
        current: 1n,
      });
    });

    it('passes on what the fold throws, and refuses to fold backwards', async () => {
      const { store } = await suite.scene();
      const stream = unique('cart');
      await store.appendToStream(stream, [added(1)]);
      const evolve = (): number[] => {
        throw new Error('does not fold');
      };
      const failing = store.aggregateStream<number[], Change>(stream, { ...fold, evolve });
      await expect(failing).rejects.toThrow('does not fold');
      const backwards = store.aggregateStream<number[], Change>(stream, {
        ...fold,
        read: { backwards: true },
      });
      await expect(backwards).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path: 'read.backwards' });
    });
  });
}
