import { setTimeout as sleep } from 'node:timers/promises';
import { createEventStore, rawSqlProjection, type Consumer, type EventStore } from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { eventually, startPostgres, type TestDatabase, type TestPostgres } from '@nestbox/testing';
import connect, { type ReservedSql, type Sql } from 'postgres';
import { gate } from './support/log-truth.js';

type Written = { type: 'Written'; data: { n: number } };

/** So long that whatever arrives was not found by looking for it. */
const POLL_MS = 60_000;
/** A busy machine takes its time. */
const SOON_MS = 2_000;

let server: TestPostgres;
let database: TestDatabase;
let other: TestDatabase;
let store: EventStore;
let sql: Sql;
let consumer: Consumer;
let handled: Map<number, number>;
let events = 0;
const held: ReservedSql[] = [];

beforeAll(async () => {
  server = await startPostgres({ settings: { max_prepared_transactions: 4 } });
  [database, other] = [await server.createDatabase(), await server.createDatabase()];
  const postgres = new Postgres(database.url);
  await postgres.query('create table elsewhere (id bigserial primary key)');
  await postgres.close();
});

beforeEach(async () => {
  store = createEventStore({ url: database.url, options: { max: 6 } });
  sql = connect(database.url, { max: 6, onnotice: () => undefined });
  handled = new Map();
  consumer = store.consumer({ pollMs: POLL_MS });
  consumer.reactor<Written>({
    processorId: 'handler',
    startFrom: 'END',
    eachMessage: ({ data }) => void handled.set(data.n, performance.now()),
  });
  consumer.projector<Written>({
    startFrom: 'END',
    projection: rawSqlProjection<Written>({
      name: 'copied',
      tables: ['copied'],
      init: (context) => `create table if not exists ${context.table('copied')} (n integer not null)`,
      evolve: ({ data }, context) => ({
        text: `insert into ${context.table('copied')} (n) values ($1::integer)`,
        params: [data.n],
      }),
    }),
  });
});

afterEach(async () => {
  for (const connection of held.splice(0)) {
    await connection`rollback`.catch(() => undefined);
    connection.release();
  }
  await store.close();
  await sql.end();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function begin(on: Sql, ...statements: string[]): Promise<ReservedSql> {
  const connection = await on.reserve();
  held.push(connection);
  await connection.unsafe('begin');
  for (const statement of statements) await connection.unsafe(statement);
  return connection;
}

async function append(stream = 'single-1'): Promise<number> {
  const n = ++events;
  await store.appendToStream(stream, [{ type: 'Written', data: { n } }]);
  return n;
}

/** How long it takes from the append to the handler, in ms; the longest of several. */
async function delay(): Promise<number> {
  let longest = 0;
  for (let i = 0; i < 5; i++) {
    const n = await append();
    const appendedAt = performance.now();
    await eventually(() => handled.has(n), { timeoutMs: SOON_MS, intervalMs: 5 });
    longest = Math.max(longest, handled.get(n)! - appendedAt);
    // Those that page through the log have it, too, and so has the projection.
    const { events: page } = await store.readAll<Written>({ category: 'single' });
    expect(page.at(-1)!.data.n).toBe(n);
    await eventually(async () =>
      expect(await sql`select n from event_store.copied where n = ${n}`).toHaveLength(1),
    );
  }
  return longest;
}

describe('a consumer is not held up by', () => {
  it('a transaction of this database that has written another table and stays idle', async () => {
    await begin(sql, 'insert into elsewhere default values');
    await consumer.start();
    expect(await delay()).toBeLessThan(SOON_MS);
  });

  it('a transaction that has read the log and keeps its snapshot', async () => {
    await consumer.start();
    await append();
    await begin(
      sql,
      'set transaction isolation level repeatable read',
      'select pg_current_xact_id()',
      'select count(*) from event_store.emt_messages',
      'select count(*) from event_store.emt_streams',
    );
    expect(await delay()).toBeLessThan(SOON_MS);
  });

  it('a transaction of another database of the server', async () => {
    const elsewhere = connect(other.url, { max: 1, onnotice: () => undefined });
    try {
      const connection = await elsewhere.reserve();
      await connection`begin`;
      await connection`create table something (id integer)`;
      await consumer.start();
      expect(await delay()).toBeLessThan(SOON_MS);
      await connection`rollback`;
      connection.release();
    } finally {
      await elsewhere.end();
    }
  });

  it('the event store of another database in which somebody is writing', async () => {
    const elsewhere = createEventStore({ url: other.url, options: { max: 2 } });
    const { opened, open } = gate();
    const began = gate();
    const session = elsewhere.withSession(async ({ eventStore }) => {
      await eventStore.appendToStream('single-1', [{ type: 'Written', data: { n: 0 } }]);
      began.open();
      await opened;
    });
    await began.opened;
    await consumer.start();
    expect(await delay()).toBeLessThan(SOON_MS);
    open();
    await session;
    await elsewhere.close();
  });

  it('a prepared transaction that nobody commits', async () => {
    const connection = await begin(sql, 'insert into elsewhere default values');
    await connection`prepare transaction 'forgotten'`;
    await consumer.start();
    expect(await delay()).toBeLessThan(SOON_MS);
    await connection`rollback prepared 'forgotten'`;
  });

  it('a statement that runs for long', async () => {
    const connection = await begin(sql, 'insert into elsewhere default values');
    const [row] = await connection<{ pid: number }[]>`select pg_backend_pid() as pid`;
    const { pid } = row!;
    const running = connection`select pg_sleep(60)`.catch((error: unknown) => error);
    await consumer.start();
    expect(await delay()).toBeLessThan(SOON_MS);
    await sql`select pg_cancel_backend(${pid})`;
    expect(await running).toMatchObject({ code: '57014' });
  });
});

describe('events behind a transaction that does not come about', () => {
  /** Draws a position, lets an event be appended behind it, and ends. @returns how long that took to arrive, in ms */
  async function delayBehind(end: (backend: number) => Promise<void>, holdMs = 0): Promise<number> {
    const { opened, open } = gate();
    const drawn = gate();
    let backend = 0;
    const session = store.withSession(async ({ eventStore }) => {
      await eventStore.appendToStream('held-1', [{ type: 'Written', data: { n: -1 } }]);
      const [row] = await store.backend.run('select pg_backend_pid() as pid');
      backend = Number(row!['pid']);
      drawn.open();
      await opened;
      throw new Error('rolled back');
    });
    session.catch(() => undefined);
    await drawn.opened;
    const n = await append('behind-1');
    const { events: page } = await store.readAll<Written>({ category: 'behind' });
    expect(page.map(({ data }) => data.n)).not.toContain(n);
    await sleep(holdMs);
    expect(handled.has(n)).toBe(false);
    const endedAt = performance.now();
    await end(backend);
    open();
    await eventually(() => handled.has(n), { timeoutMs: SOON_MS, intervalMs: 5 });
    await expect(session).rejects.toHaveProperty('message');
    return handled.get(n)! - endedAt;
  }

  it('arrive within milliseconds of the rollback, though nobody wakes the consumer', async () => {
    await consumer.start();
    const delays: number[] = [];
    for (let i = 0; i < 15; i++) delays.push(await delayBehind(() => Promise.resolve(), i));
    delays.sort((a, b) => a - b);
    expect(delays[7]).toBeLessThan(100);
    expect(delays.at(-1)).toBeLessThan(1_000);
    expect([...handled.keys()]).not.toContain(-1);
  });

  it('arrive soon also when the transaction was open for long', async () => {
    await consumer.start();
    expect(await delayBehind(() => Promise.resolve(), 1_500)).toBeLessThan(1_000);
  });

  it('arrive as soon when its connection was killed', async () => {
    await consumer.start();
    const delays: number[] = [];
    for (let i = 0; i < 5; i++) {
      const kill = async (pid: number): Promise<void> =>
        void (await sql`select pg_terminate_backend(${pid})`);
      delays.push(await delayBehind(kill));
    }
    expect(Math.max(...delays)).toBeLessThan(1_000);
  });
});
