/// <reference types="jest" />
import { EventStore } from '@nestbox/event-store';
import { added, collect, failureOf, numbers, valuesIn, type EventStoreSuite } from './subject.js';

/** One call of each method. */
const CALLS: [string, (store: EventStore) => PromiseLike<unknown>][] = [
  ['init', (store) => store.init()],
  ['appendToStream', (store) => store.appendToStream('a', [added(1)])],
  ['appendToStream of nothing', (store) => store.appendToStream('a', [])],
  ['readStream', (store) => store.readStream('a')],
  ['streamEvents', (store) => collect(store.streamEvents('a'))],
  ['readAll', (store) => store.readAll()],
  ['readAll as an iteration', (store) => collect(store.readAll())],
  ['aggregateStream', (store) => store.aggregateStream('a', { initialState: () => 0, evolve: () => 0 })],
  ['streamExists', (store) => store.streamExists('a')],
  ['listStreams', (store) => store.listStreams()],
  ['archiveStream', (store) => store.archiveStream('a')],
  ['unarchiveStream', (store) => store.unarchiveStream('a')],
  ['deleteStream', (store) => store.deleteStream('a')],
  ['withSession', (store) => store.withSession(async () => 1)],
  ['collection', (store) => store.collection('a').get('a')],
  ['head', (store) => store.head()],
  ['partitions.create', (store) => store.partitions.create('a')],
  ['partitions.list', (store) => store.partitions.list()],
  ['partitions.drop', (store) => store.partitions.drop('a')],
  ['processors.list', (store) => store.processors.list()],
];

export function lifecycle(suite: EventStoreSuite): void {
  describe('opening and closing', () => {
    it('opens by itself, once for all who come first', async () => {
      await suite.own(async ({ store }) => {
        await Promise.all(numbers(10).map((i) => store.appendToStream(`cart-${i % 3}`, [added(i)])));
        expect(await valuesIn(store, 'cart-1')).toEqual([1, 4, 7]);
      });
    });

    it('opens within a session', async () => {
      await suite.own(async ({ store }) => {
        const failed = store.withSession(async ({ eventStore }) => {
          await eventStore.appendToStream('cart-1', [added(1)]);
          throw new Error('rolled back');
        });
        await expect(failed).rejects.toThrow('rolled back');
        // What was opened did not go with the session.
        await store.appendToStream('cart-1', [added(2)]);
        expect(await valuesIn(store, 'cart-1')).toEqual([2]);
      });
    });

    it('may be opened twice, and by several stores on the same data', async () => {
      await suite.own(async ({ store, elsewhere }) => {
        const another = new EventStore(store.backend);
        await Promise.all([store.init(), store.init(), another.init(), elsewhere()]);
        await store.init();
        const other = await elsewhere();
        await store.appendToStream('cart-1', [added(1)]);
        await other.appendToStream('cart-1', [added(2)]);
        expect(await valuesIn(another, 'cart-1')).toEqual([1, 2]);
      });
    });

    it('refuses every call once it is closed', async () => {
      await suite.own(async ({ store }) => {
        await store.appendToStream('a', [added(1)]);
        await store.close();
        for (const [method, call] of CALLS) {
          const error = await failureOf((async () => call(store))());
          expect({ method, code: (error as { code?: string }).code }).toEqual({ method, code: 'CLOSED' });
        }
      });
    });

    it('may be closed twice, at once too, and without having been opened', async () => {
      await suite.own(async ({ store, elsewhere }) => {
        await Promise.all([store.close(), store.close()]);
        await store.close();
        await expect(store.readStream('a')).rejects.toMatchObject({ code: 'CLOSED' });
        const other = await elsewhere();
        await other.close();
        await other.close();
      });
    });

    it('waits for the appends under way when it is closed', async () => {
      await suite.own(async ({ store, elsewhere }) => {
        const other = await elsewhere();
        await store.init();
        const appends = numbers(100).map((i) => store.appendToStream(`cart-${i}`, [added(i)]));
        const closing = store.close();
        const results = await Promise.allSettled(appends);
        await closing;
        // None is lost on the way: what was not appended was refused.
        for (const [i, result] of results.entries()) {
          const isThere = await other.streamExists(`cart-${i}`);
          if (result.status === 'fulfilled') expect(isThere).toBe(true);
          else expect([isThere, (result.reason as { code: string }).code]).toEqual([false, 'CLOSED']);
        }
      });
    });

    it('keeps the data when it is closed', async () => {
      await suite.own(async ({ store, elsewhere }) => {
        const other = await elsewhere();
        await store.appendToStream('cart-1', [added(1)]);
        await store.close();
        expect(await valuesIn(other, 'cart-1')).toEqual([1]);
      });
    });

    it('answers a ping', async () => {
      const { store } = await suite.scene();
      await store.init();
      await store.backend.ping(5_000);
    });
  });
}
