/// <reference types="jest" />
import { multiStreamProjection, type Projection } from '@nestbox/event-store';
import { eventually } from '../../eventually.js';
import { running } from './consuming.js';
import { evolve, type Sum } from './projections.js';
import { added, addedUpTo, numbers, unique, type Change, type EventStoreSuite } from './subject.js';

export function projecting(suite: EventStoreSuite): void {
  describe('projectors', () => {
    function projectionOf(fail: (n: number) => boolean = () => false): {
      name: string;
      projection: Projection<Change>;
    } {
      const name = unique('sums');
      const projection = multiStreamProjection<Sum, Change>({
        collectionName: name,
        getDocumentId: ({ data }) => (data.n % 2 === 0 ? 'even' : 'odd'),
        evolve: (document, event) => {
          if (fail(event.data.n)) throw new Error('not this one');
          return evolve(document, event);
        },
      });
      return { name, projection };
    }

    it('make documents of every event, each once, and in order', async () => {
      const { store, partition } = await suite.tenant();
      const { name, projection } = projectionOf();
      const consumer = store.consumer({ partition });
      const processor = consumer.projector({ projection, batchSize: 6 });
      expect(processor.processorId).toBe(name);
      await store.appendToStream('cart-1', addedUpTo(10), { partition });
      await running(consumer, async () => {
        await Promise.all(
          numbers(30).map((i) => store.appendToStream(unique('cart'), [added(i + 11)], { partition })),
        );
        await consumer.whenCaughtUp();
      });
      const { events } = await store.readAll<Change>({ partition });
      const documents = store.collection<Sum>(name, { partition });
      for (const [id, rest] of [
        ['even', 0],
        ['odd', 1],
      ] as const) {
        const items = events.map(({ data }) => data.n).filter((n) => n % 2 === rest);
        expect(await documents.get(id)).toMatchObject({ items });
      }
    });

    it('stop at what they cannot handle, with nothing of it done, and go on when that is mended', async () => {
      const { store, partition } = await suite.tenant();
      let isBroken = true;
      const { name, projection } = projectionOf((n) => isBroken && n === 4);
      const consumer = store.consumer({ partition });
      consumer.projector({ projection, retry: { attempts: 3, base: 1, max: 2 } });
      await store.appendToStream('cart-1', addedUpTo(6), { partition });
      await running(consumer, async () => {
        await eventually(async () =>
          expect(await store.processors.get(name, { partition })).toMatchObject({
            status: 'failed',
            error: expect.stringContaining('not this one') as string,
          }),
        );
        const even = await store.collection<Sum>(name, { partition }).get('even');
        expect(even?.items ?? []).not.toContain(4);
        isBroken = false;
        await store.processors.resume(name, { partition });
        await consumer.whenCaughtUp();
      });
      expect(await store.collection<Sum>(name, { partition }).find()).toMatchObject([
        { _id: 'even', items: [2, 4, 6] },
        { _id: 'odd', items: [1, 3, 5] },
      ]);
    });

    it('of two instances count every event once', async () => {
      const { store, elsewhere, partition } = await suite.tenant();
      const { name, projection } = projectionOf();
      const consumers = [store, await elsewhere()].map((its) => {
        const consumer = its.consumer({ partition });
        consumer.projector({ projection, batchSize: 3 });
        return consumer;
      });
      await running(consumers[0]!, () =>
        running(consumers[1]!, async () => {
          for (const i of numbers(20)) await store.appendToStream('cart-1', [added(i + 1)], { partition });
          await eventually(async () => {
            const documents = await store.collection<Sum>(name, { partition }).find();
            expect(documents.flatMap(({ items }) => items)).toHaveLength(20);
          });
        }),
      );
      expect(await store.collection<Sum>(name, { partition }).get('odd')).toMatchObject({ sum: 100 });
      expect(await store.collection<Sum>(name, { partition }).get('even')).toMatchObject({ sum: 110 });
    });

    it('of all partitions keep the documents of each apart', async () => {
      await suite.own(async ({ store }) => {
        const { name, projection } = projectionOf();
        await store.partitions.create('north');
        const consumer = store.consumer({ partition: '*' });
        consumer.projector({ projection });
        await running(consumer, async () => {
          await store.appendToStream('cart-1', [added(1)]);
          await store.appendToStream('cart-1', [added(3), added(5)], { partition: 'north' });
          await store.appendToStream('cart-1', [added(7)]);
          await consumer.whenCaughtUp();
        });
        expect(await store.collection<Sum>(name).find()).toMatchObject([{ items: [1, 7] }]);
        expect(await store.collection<Sum>(name).in('north').find()).toMatchObject([{ items: [3, 5] }]);
      });
    });

    it('are rebuilt from the log, with what is written meanwhile', async () => {
      await suite.own(async ({ store }) => {
        let factor = 1;
        const projection = multiStreamProjection<{ sum: number }, Change>({
          collectionName: 'sums',
          getDocumentId: () => 'all',
          evolve: (document, { data }) => ({ sum: (document?.sum ?? 0) + factor * data.n }),
        });
        const consumer = store.consumer();
        consumer.projector({ projection });
        await store.appendToStream('cart-1', addedUpTo(50));
        const documents = store.collection<{ sum: number }>('sums');
        await running(consumer, async () => {
          await consumer.whenCaughtUp();
          expect(await documents.get('all')).toMatchObject({ sum: 1275 });
          factor = 2;
          const writing = Promise.all(
            numbers(30).map(() => store.appendToStream(unique('cart'), [added(1)])),
          );
          await store.rebuild('sums', { batchSize: 10 });
          await writing;
          await consumer.whenCaughtUp();
          expect(await documents.get('all')).toMatchObject({ sum: 2 * (1275 + 30) });
          // A second one finds all that the first one made, and makes it again.
          factor = 3;
          expect(await store.rebuild('sums')).toMatchObject({ events: 80 });
          await store.appendToStream('cart-1', [added(1)]);
          await consumer.whenCaughtUp();
          expect(await documents.get('all')).toMatchObject({ sum: 3 * (1275 + 31) });
        });
      });
    });
  });
}
