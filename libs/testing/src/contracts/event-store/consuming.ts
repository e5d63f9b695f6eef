/// <reference types="jest" />
import type { Consumer, EventStore, ReadEvent } from '@nestbox/event-store';
import { eventually } from '../../eventually.js';
import {
  added,
  addedUpTo,
  numbers,
  openSession,
  positionsOf,
  removed,
  unique,
  valuesOf,
  type Change,
  type EventStoreSuite,
} from './subject.js';

/** Does something while a consumer runs. */
export async function running<R>(consumer: Consumer, fn: () => Promise<R>): Promise<R> {
  await consumer.start();
  try {
    return await fn();
  } finally {
    await consumer.stop();
  }
}

/** A consumer that ends when nothing is left, with a reactor that keeps what it sees. */
function draining(store: EventStore, partition: string, processorId: string, options: object = {}) {
  const seen: ReadEvent[] = [];
  const consumer = store.consumer({ partition, stopWhen: { noMessagesLeft: true } });
  consumer.reactor({ processorId, eachMessage: (event) => void seen.push(event), ...options });
  return { consumer, seen };
}

/** The numbers that a processor gets from where it stands to the end. */
async function drain(
  store: EventStore,
  partition: string,
  processorId: string,
  options?: object,
): Promise<number[]> {
  const { consumer, seen } = draining(store, partition, processorId, options);
  await consumer.start();
  return valuesOf(seen);
}

export function consuming(suite: EventStoreSuite): void {
  describe('consumers', () => {
    it('give a reactor every event in the order of the log, those that come meanwhile included', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const other = await elsewhere();
      const seen: ReadEvent<Change>[] = [];
      const consumer = store.consumer({ partition });
      consumer.reactor<Change>({
        processorId: unique('reactor'),
        batchSize: 7,
        eachMessage: (event) => void seen.push(event),
      });
      const append = (i: number) =>
        (i % 2 === 0 ? store : other).appendToStream(`cart-${i % 3}`, [added(i), added(i + 0.5)], {
          partition,
        });
      for (const i of numbers(10)) await append(i);
      await running(consumer, async () => {
        await Promise.all(numbers(20).map((i) => append(i + 10)));
        await consumer.whenCaughtUp();
        expect(seen).toHaveLength(60);
        await append(30);
        await eventually(() => expect(seen).toHaveLength(62));
      });
      expect(seen).toEqual((await store.readAll({ partition })).events);
    });

    it('give a reactor batches, of the types that it names', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream('cart-1', [...addedUpTo(7), removed(8), added(9)], { partition });
      const batches: number[][] = [];
      const consumer = store.consumer({ partition, stopWhen: { noMessagesLeft: true } });
      consumer.reactor<Change>({
        processorId: unique('reactor'),
        batchSize: 3,
        canHandle: ['Added'],
        eachBatch: (events) => void batches.push(valuesOf(events)),
      });
      await consumer.start();
      expect(batches.flat()).toEqual([1, 2, 3, 4, 5, 6, 7, 9]);
      for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(3);
    });

    it('end when no messages are left, and go on from there the next time', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const processorId = unique('reactor');
      expect(await drain(store, partition, processorId)).toEqual([]);
      await store.appendToStream('cart-1', addedUpTo(3), { partition });
      const { consumer, seen } = draining(store, partition, processorId);
      await consumer.start();
      expect(consumer.isRunning).toBe(false);
      expect(valuesOf(seen)).toEqual([1, 2, 3]);
      expect(await drain(store, partition, processorId)).toEqual([]);
      await store.appendToStream('cart-2', [added(4)], { partition });
      expect(await drain(await elsewhere(), partition, processorId)).toEqual([4]);
    });

    it('begin where they are told to, unless they were here before', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream('cart-1', addedUpTo(4), { partition });
      const positions = positionsOf((await store.readAll({ partition })).events);
      const [beginning, end, middle] = [unique('reactor'), unique('reactor'), unique('reactor')];
      expect(await drain(store, partition, beginning, { startFrom: 'BEGINNING' })).toEqual([1, 2, 3, 4]);
      expect(await drain(store, partition, end, { startFrom: 'END' })).toEqual([]);
      const startFrom = { position: positions[1] };
      expect(await drain(store, partition, middle, { startFrom })).toEqual([3, 4]);
      await store.appendToStream('cart-1', [added(5)], { partition });
      expect(await drain(store, partition, beginning, { startFrom: 'END' })).toEqual([5]);
      expect(await drain(store, partition, end, { startFrom: 'END' })).toEqual([5]);
      expect(await drain(store, partition, middle, { startFrom: 'BEGINNING' })).toEqual([5]);
    });

    it('read one partition, or all of them in the order of the log', async () => {
      await suite.own(async ({ store }) => {
        await store.partitions.create('north');
        await store.appendToStream('cart-1', [added(1)]);
        await store.appendToStream('cart-1', [added(2)], { partition: 'north' });
        await store.appendToStream('cart-1', [added(3)]);
        expect(await drain(store, 'emt:default', 'reactor')).toEqual([1, 3]);
        // Of the same id, but with a checkpoint for each partition.
        expect(await drain(store, 'north', 'reactor')).toEqual([2]);
        const { consumer, seen } = draining(store, '*', 'reactor');
        await consumer.start();
        expect(valuesOf(seen)).toEqual([1, 2, 3]);
        expect(seen.map(({ metadata }) => metadata.partition)).toEqual([
          'emt:default',
          'north',
          'emt:default',
        ]);
      });
    });

    it.each([true, false])(
      'see in its place what is committed late, unless it is not (%p)',
      async (commits) => {
        const { store, partition } = await suite.tenant();
        const seen: ReadEvent<Change>[] = [];
        const consumer = store.consumer({ partition });
        consumer.reactor<Change>({
          processorId: unique('reactor'),
          eachMessage: (event) => void seen.push(event),
        });
        await running(consumer, async () => {
          const early = await openSession(store, () =>
            store.appendToStream('early-1', [added(1)], { partition }),
          );
          const late = store.appendToStream('late-1', [added(2)], { partition });
          await early.end(commits);
          await late;
          await eventually(() => expect(valuesOf(seen)).toEqual(commits ? [1, 2] : [2]));
          await store.appendToStream('late-1', [added(3)], { partition });
          await eventually(() => expect(seen).toHaveLength(commits ? 3 : 2));
        });
        expect(seen).toEqual((await store.readAll({ partition })).events);
      },
    );

    it('skip what deleted streams left, unless it is named', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream('cart-1', addedUpTo(2), { partition });
      await store.appendToStream('cart-2', [added(3)], { partition });
      await store.deleteStream('cart-1', { partition });
      expect(await drain(store, partition, unique('reactor'))).toEqual([3]);
      const canHandle = ['$StreamDeleted'];
      const { consumer, seen } = draining(store, partition, unique('reactor'), { canHandle });
      await consumer.start();
      expect(seen.map(({ metadata }) => metadata.streamName)).toEqual(['cart-1']);
    });

    it('tell when they have caught up with what was there when they were asked', async () => {
      const { store, partition } = await suite.tenant();
      const seen: number[] = [];
      const consumer = store.consumer({ partition });
      const processor = consumer.reactor<Change>({
        processorId: unique('reactor'),
        eachMessage: async ({ data }) => {
          await new Promise(setImmediate);
          seen.push(data.n);
        },
      });
      expect(processor).toMatchObject({
        partition,
        processorId: expect.stringContaining('reactor') as string,
      });
      await running(consumer, async () => {
        for (const round of numbers(4)) {
          await store.appendToStream(unique('cart'), addedUpTo(5), { partition });
          await (round % 2 === 0 ? consumer : processor).whenCaughtUp();
          expect(seen).toHaveLength(5 * (round + 1));
        }
        expect(processor.isActive).toBe(true);
        expect(consumer.isRunning).toBe(true);
      });
      expect(processor.isActive).toBe(false);
    });

    it('stop behind the event at which a reactor says so', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream('cart-1', addedUpTo(5), { partition });
      const processorId = unique('reactor');
      const seen: number[] = [];
      const consumer = store.consumer({ partition });
      consumer.reactor<Change>({
        processorId,
        eachMessage: ({ data }) => {
          seen.push(data.n);
          if (data.n === 2) return { type: 'SKIP' };
          return data.n === 3 ? { type: 'STOP', reason: 'enough' } : undefined;
        },
      });
      await running(consumer, () => eventually(() => expect(seen).toEqual([1, 2, 3])));
      expect(await drain(store, partition, processorId)).toEqual([4, 5]);
    });

    it('hand on correlation and causation to what a reactor appends', async () => {
      const { store, partition } = await suite.tenant();
      await store.appendToStream('cart-1', [added(1), added(2)], { partition, correlationId: 'request' });
      await store.appendToStream('cart-1', [added(3)], { partition });
      const { consumer } = draining(store, partition, unique('reactor'), {
        canHandle: ['Added'],
        eachMessage: ({ data }: Change) => store.appendToStream('echo-1', [removed(data.n)], { partition }),
      });
      await consumer.start();
      const causes = (await store.readStream('cart-1', { partition })).events;
      const { events } = await store.readStream('echo-1', { partition });
      expect(events.map(({ metadata }) => metadata.causationId)).toEqual(
        causes.map(({ metadata }) => metadata.messageId),
      );
      expect(events.map(({ metadata }) => metadata.correlationId)).toEqual([
        'request',
        'request',
        causes[2]!.metadata.messageId,
      ]);
    });

    it('refuse a processor that they have, and to run once the store is closed', async () => {
      await suite.own(async ({ store }) => {
        const { consumer } = draining(store, 'emt:default', 'reactor');
        await consumer.start();
        expect(() => consumer.reactor({ processorId: 'reactor', eachMessage: () => undefined })).toThrow(
          expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error,
        );
        await consumer.stop();
        await consumer.stop();
        await store.close();
        await expect(
          (async () => draining(store, 'emt:default', 'reactor').consumer.start())(),
        ).rejects.toMatchObject({ code: 'CLOSED' });
      });
    });

    it.each<[string, object]>([
      ['processorId', { processorId: '' }],
      ['batchSize', { batchSize: 0 }],
      ['startFrom', { startFrom: 'MIDDLE' }],
      ['startFrom.position', { startFrom: { position: -1n } }],
      ['parallelism', { parallelism: 0 }],
      ['retry.attempts', { retry: { attempts: 0 } }],
      ['lease', { lease: '1ms' }],
      ['canHandle', { canHandle: [] }],
      ['eachMessage', { eachBatch: () => undefined }],
    ])('refuse a bad %s', async (path, options) => {
      const { store } = await suite.scene();
      const add = () =>
        store.consumer().reactor({ processorId: 'reactor', eachMessage: () => undefined, ...options });
      expect(add).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', path }) as Error);
    });
  });
}
