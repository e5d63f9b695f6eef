import { createEventStore, PgEventStoreBackend, singleStreamProjection } from '@nestbox/event-store';
import { eventually } from '@nestbox/testing';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  catchUp,
  ignored,
  noted,
  notedUpTo,
  numberOf,
  numbers,
  reactorOn,
  Stage,
  whileRunning,
  type Noted,
} from './support/stage.js';

beforeAll(() => {
  for (const level of ['log', 'warn', 'error'] as const)
    jest.spyOn(Logger.prototype, level).mockReturnValue();
});

describe('a consumer whose connections are lost', () => {
  let stage: Stage;
  beforeAll(async () => (stage = await Stage.onPostgres()));
  afterAll(() => stage.close());

  it('handles what a transactional reactor was at again, and its writes count once', async () => {
    const store = await stage.store();
    const { backend } = store;
    if (!(backend instanceof PgEventStoreBackend)) throw new Error('not on PostgreSQL');
    await store.appendToStream('cart-1', notedUpTo(5));
    let isCut = false;
    const { consumer } = reactorOn(store, 'emt:default', {
      processorId: 'exact',
      canHandle: ['Noted'],
      transactional: true,
      eachMessage: async ({ data }) => {
        await store.appendToStream('echo-1', [ignored(data.n)]);
        if (data.n !== 3 || isCut) return;
        isCut = true;
        await backend.postgres.query('select pg_terminate_backend(pg_backend_pid())');
      },
    });
    await catchUp(consumer);
    expect(isCut).toBe(true);
    expect((await store.readStream('echo-1')).events.map(numberOf)).toEqual(numbers(5));
    expect(await store.processors.parked('exact')).toEqual([]);
  });

  it('goes on by itself when all of them end at once, again and again', async () => {
    const store = await stage.store();
    const killer = createEventStore(stage.url!).backend as PgEventStoreBackend;
    const name = 'sums';
    const projection = singleStreamProjection<{ items: number[] }, Noted>({
      collectionName: name,
      canHandle: ['Noted'],
      evolve: (document, { data }) => ({ items: [...(document?.items ?? []), data.n] }),
    });
    const consumer = store.consumer();
    consumer.projector({ projection, batchSize: 3, parallelism: 2 });
    await whileRunning(consumer, async () => {
      for (const n of numbers(30)) {
        if (n % 10 === 0) {
          await killer.postgres.query(
            `select pg_terminate_backend(a.pid) from pg_stat_activity a
              where a.datname = current_database() and a.pid <> pg_backend_pid()`,
          );
        }
        const messageId = `m-${n}`;
        await eventually(() => store.appendToStream('kept-1', [{ ...noted(n), messageId }]));
      }
      await eventually(() => consumer.whenCaughtUp());
    });
    expect(await store.collection(name).get('kept-1')).toMatchObject({ items: numbers(30) });
    await killer.close();
  });
});
