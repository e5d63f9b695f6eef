/// <reference types="jest" />
import type { ReadEvent } from '@nestbox/event-store';
import { eventually } from '../../eventually.js';
import { running } from './consuming.js';
import { added, numbers, unique, valuesOf, type Change, type EventStoreSuite } from './subject.js';

export function sharing(suite: EventStoreSuite): void {
  describe('consumers', () => {
    it('of the same processor share its work: each event is handled by one of them', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const processorId = unique('reactor');
      const seen: number[] = [];
      let handling = 0;
      const consumers = [store, await elsewhere()].map((its) => {
        const consumer = its.consumer({ partition });
        consumer.reactor<Change>({
          processorId,
          batchSize: 4,
          eachMessage: async ({ data }) => {
            expect(++handling).toBe(1);
            await new Promise(setImmediate);
            seen.push(data.n);
            handling--;
          },
        });
        return consumer;
      });
      await running(consumers[0]!, () =>
        running(consumers[1]!, async () => {
          await Promise.all(
            numbers(40).map((i) => store.appendToStream(`cart-${i % 5}`, [added(i)], { partition })),
          );
          await eventually(() => expect(seen).toHaveLength(40));
        }),
      );
      const { events } = await store.readAll({ partition });
      expect(seen).toEqual(valuesOf(events));
    });

    it('of which one ends leave its work to the other at once', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const processorId = unique('reactor');
      const seen: [number, number][] = [];
      const [first, second] = [store, await elsewhere()].map((its, which) => {
        const consumer = its.consumer({ partition });
        consumer.reactor<Change>({
          processorId,
          eachMessage: ({ data }) => void seen.push([which, data.n]),
          lease: '60s',
        });
        return consumer;
      });
      await running(second!, async () => {
        await store.appendToStream('cart-1', [added(1)], { partition });
        await eventually(() => expect(seen).toEqual([[1, 1]]));
        await first!.start();
        await second!.stop();
        await store.appendToStream('cart-1', [added(2)], { partition });
        await eventually(() =>
          expect(seen).toEqual([
            [1, 1],
            [0, 2],
          ]),
        );
        await first!.stop();
      });
    });

    it('spread streams over workers, and keep the order of each', async () => {
      const { store, partition } = await suite.tenant();
      for (const i of numbers(60)) await store.appendToStream(`cart-${i % 12}`, [added(i)], { partition });
      const processorId = unique('reactor');
      const seen: ReadEvent<Change>[] = [];
      const consumer = store.consumer({ partition });
      consumer.reactor<Change>({
        processorId,
        parallelism: 3,
        batchSize: 5,
        eachMessage: (event) => void seen.push(event),
      });
      await running(consumer, async () => {
        await consumer.whenCaughtUp();
        expect(valuesOf(seen).toSorted((a, b) => a - b)).toEqual(numbers(60));
        for (const stream of numbers(12)) {
          const own = seen.filter(({ metadata }) => metadata.streamName === `cart-${stream}`);
          expect(valuesOf(own)).toEqual(numbers(5).map((round) => round * 12 + stream));
        }
        await eventually(async () =>
          expect(await store.processors.get(processorId, { partition })).toMatchObject({
            shards: 3,
            lag: 0n,
          }),
        );
      });
    });
  });
}
