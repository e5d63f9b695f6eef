import {
  createEventStore,
  multiStreamProjection,
  type EventStore,
  type ProcessorKey,
} from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { added, type ItemAdded } from './support/shopping.js';

const sales = multiStreamProjection<{ sold: number }, ItemAdded>({
  collectionName: 'sales',
  getDocumentId: () => 'all',
  evolve: (document, { data }) => ({ sold: (document?.sold ?? 0) + data.quantity }),
});

describe('rebuilding an async projection', () => {
  let database: TestDatabase;
  let postgres: Postgres;
  let other: Postgres;
  let store: EventStore;
  beforeAll(async () => {
    database = await testDatabase();
    [postgres, other] = [new Postgres(database.url), new Postgres(database.url)];
    store = createEventStore(postgres);
  });
  afterAll(async () => {
    await store.close();
    await Promise.all([postgres.close(), other.close()]);
    await database.drop();
  });

  it('repeats no event when a late announcement takes the watermark back before the switch', async () => {
    for (let i = 0; i < 20; i++) await store.appendToStream(`cart-${i}`, [added('fig')]);
    const consumer = store.consumer();
    consumer.projector({ projection: sales });
    await consumer.start();
    await consumer.whenCaughtUp();

    let writer: Promise<void> | undefined;
    let rollBack!: () => void;
    const held = new Promise<void>((resolve) => {
      rollBack = resolve;
    });
    /** A writer that read the sequence at 5, and was held up until now before it took its lock. */
    const announceLate = (): Promise<void> =>
      new Promise((announced) => {
        writer = other.transaction(async () => {
          await other.query(
            `select pg_advisory_xact_lock_shared('event_store.emt_global_position'::regclass::oid::int4, 5)`,
          );
          announced();
          await held;
        });
      });
    const { processors } = store.backend;
    const lock = processors.lock.bind(processors);
    processors.lock = async (key: ProcessorKey) => {
      const locked = await lock(key);
      await announceLate();
      expect(await store.backend.watermark()).toBe(5n);
      return locked;
    };
    expect(await store.rebuild('sales')).toEqual({ events: 20 });
    rollBack();
    await writer;

    await store.appendToStream('cart-1', [added('fig')]);
    await consumer.whenCaughtUp();
    expect(await store.collection('sales').get('all')).toMatchObject({ sold: 21 });
  });
});
