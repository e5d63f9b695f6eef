import { createEventStore, singleStreamProjection, type EventStore } from '@nestbox/event-store';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import postgres from 'postgres';
import { noted, type Noted } from './support/stage.js';

let database: TestDatabase;
let store: EventStore;
let sql: postgres.Sql;

const sums = singleStreamProjection<{ sum: number }, Noted>({
  collectionName: 'sums',
  evolve: (document, { data }) => ({ sum: (document?.sum ?? 0) + data.n }),
});

beforeAll(async () => {
  database = await testDatabase();
  sql = postgres(database.url, { max: 2, onnotice: () => undefined });
  store = createEventStore(database.url, { projections: [sums] });
  await store.appendToStream('cart-0', [noted(1)]);
});

afterAll(async () => {
  await store.close();
  await sql.end({ timeout: 5 });
  await database.drop();
});

/** Runs `fn` while a transaction is open that has read the log and a collection, as a report or a backup has. */
async function whileOneReads<R>(fn: (connection: postgres.ReservedSql) => Promise<R>): Promise<R> {
  const connection = await sql.reserve();
  try {
    await connection`begin`;
    await connection`select count(*) from event_store.emt_messages`;
    await connection`select count(*) from event_store.sums`;
    return await fn(connection);
  } finally {
    await connection`rollback`;
    connection.release();
  }
}

describe('partitions, while a long transaction reads', () => {
  it('are created, and take appends', async () => {
    await whileOneReads(async () => {
      expect(await store.partitions.create('tenant-1')).toBe(true);
      await store.appendToStream('cart-1', [noted(2)], { partition: 'tenant-1' });
      expect(await store.collection('sums', { partition: 'tenant-1' }).get('cart-1')).toMatchObject({
        sum: 2,
      });
    });
  });

  it('are dropped when it has ended, and nobody else waits for that', async () => {
    await store.partitions.create('tenant-2');
    let dropping!: Promise<boolean>;
    await whileOneReads(async () => {
      dropping = store.partitions.drop('tenant-2');
      // It waits for its locks, for a while each time.
      await eventually(async () => {
        const waiting = await sql`select from pg_locks where not granted and mode = 'AccessExclusiveLock'`;
        expect(waiting).not.toHaveLength(0);
      });
      for (let i = 0; i < 5; i++) await store.appendToStream('cart-0', [noted(1)]);
      expect(await store.partitions.list()).toContain('tenant-2');
    });
    expect(await dropping).toBe(true);
    expect(await store.partitions.list()).not.toContain('tenant-2');
  });

  it('have all indexes that the others have', async () => {
    await store.partitions.create('tenant-3');
    const counts = await sql<{ parent: string; parts: number; indexes: number[] }[]>`
      select i.inhparent::regclass::text as parent, count(*)::integer as parts,
             array_agg((select count(*) from pg_index x where x.indrelid = i.inhrelid)::integer) as indexes
        from pg_inherits i
        join pg_class p on p.oid = i.inhparent and p.relkind = 'p'
        join pg_class c on c.oid = i.inhrelid and c.relkind = 'r'
       where p.relnamespace = 'event_store'::regnamespace
       group by i.inhparent`;
    expect(counts).toHaveLength(5);
    for (const { indexes } of counts) expect(new Set(indexes).size).toBe(1);
  });
});

describe('a consumer that ends when nothing is left', () => {
  it('does not wait for a processor that is paused', async () => {
    const seen: string[] = [];
    const consumer = store.consumer({ stopWhen: { noMessagesLeft: true } });
    for (const processorId of ['paused', 'active']) {
      consumer.reactor({ processorId, eachMessage: () => void seen.push(processorId) });
    }
    await consumer.start();
    await store.processors.pause('paused');
    seen.length = 0;
    await store.appendToStream('cart-9', [noted(1)]);
    await consumer.start();
    expect(seen).toEqual(['active']);
  });
});
