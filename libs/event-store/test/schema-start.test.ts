import {
  createEventStore,
  multiStreamProjection,
  rawSqlProjection,
  type Event,
  type EventStore,
} from '@nestbox/event-store';
import {
  MigrationChecksumError,
  MigrationRequiredError,
  MigrationTooNewError,
  Postgres,
  PostgresUnavailableError,
} from '@nestbox/postgres';
import { freePort, startPostgres, testDatabase, type TestDatabase } from '@nestbox/testing';

type Counted = Event<'Counted', { n: number }>;

let database: TestDatabase;
let postgres: Postgres;
const opened: EventStore[] = [];

beforeEach(async () => {
  database = await testDatabase();
  postgres = new Postgres({ url: database.url, options: { max: 4 } });
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  await postgres.close();
  await database.drop();
});

/** With a connection of its own, as another process has. */
function open(options: Parameters<typeof createEventStore>[1] = {}): EventStore {
  const store = createEventStore({ url: database.url, options: { max: 3 } }, options);
  opened.push(store);
  return store;
}

const counted = (n: number): Counted => ({ type: 'Counted', data: { n } });

const total = multiStreamProjection<{ sum: number }, Counted>({
  collectionName: 'totals',
  canHandle: ['Counted'],
  getDocumentId: () => 'all',
  initialState: () => ({ sum: 0 }),
  evolve: (document, { data }) => ({ sum: document!.sum + data.n }),
});

const copied = rawSqlProjection<Counted>({
  name: 'copied',
  tables: ['copied'],
  // The others come while its transaction is open.
  init: (context) => [
    `create table if not exists ${context.table('copied')} (n integer not null)`,
    'select pg_sleep(0.05)',
  ],
  evolve: ({ data }, context) => ({
    text: `insert into ${context.table('copied')} (n) values ($1::integer)`,
    params: [data.n],
  }),
});

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('It should have failed, but did not.');
}

describe('a store that starts', () => {
  it('on an empty database, with nine others at the same time, finds all that it needs', async () => {
    const stores = Array.from({ length: 10 }, () => open());
    await Promise.all(stores.map((store) => store.init()));
    const results = await Promise.all(
      stores.map((store, i) => store.appendToStream('shared-1', [counted(i)])),
    );
    const versions = results.map(({ nextExpectedStreamVersion }) => Number(nextExpectedStreamVersion));
    expect(versions.sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(await postgres.query('select 1 as one from event_store.emt_partitions')).toHaveLength(1);
  });

  it('by its first append, read or projection, at the same time as nine others, does so too', async () => {
    const stores = Array.from({ length: 10 }, () =>
      open({
        projections: [
          { type: 'inline', projection: total },
          { type: 'inline', projection: copied },
        ],
      }),
    );
    await Promise.all(
      stores.map(async (store, i) => {
        if (i % 2 === 0) await store.readStream('shared-1');
        await store.appendToStream('shared-1', [counted(i)]);
      }),
    );
    expect(await stores[0]!.collection('totals').get('all')).toMatchObject({ sum: 45 });
    expect(await postgres.query('select n from event_store.copied')).toHaveLength(10);
  });

  it('consumers whose projections create their tables, at the same time as nine others, does so too', async () => {
    const stores = Array.from({ length: 10 }, () => open());
    await Promise.all(stores.map((store) => store.init()));
    await stores[0]!.appendToStream('shared-1', [counted(1)]);
    const consumers = stores.map((store) => {
      const consumer = store.consumer();
      consumer.projector({ projection: copied });
      return consumer;
    });
    await Promise.all(consumers.map((consumer) => consumer.start()));
    await consumers[0]!.whenCaughtUp();
    expect(await postgres.query('select n from event_store.copied')).toEqual([{ n: 1 }]);
  });

  it('without the right to migrate says what is missing and what creates it, and works once that was done', async () => {
    const store = open({ migrate: false });
    const error = await failureOf(store.init());
    expect(error).toBeInstanceOf(MigrationRequiredError);
    expect((error as MigrationRequiredError).files).toContain('001_event_store.sql');
    expect(error.message).toContain('nestbox migrate run --lib event-store');
    const failure = await failureOf(store.appendToStream('shared-1', [counted(1)]));
    expect(failure.message).toContain('nestbox migrate run --lib event-store');
    const [row] = await postgres.query(`select to_regnamespace('event_store') as schema`);
    expect(row).toEqual({ schema: null });

    await open().schema.migrate();
    expect(await store.appendToStream('shared-1', [counted(1)])).toMatchObject({
      nextExpectedStreamVersion: 1n,
    });
  });

  it('without the right to migrate works on what its own SQL has made', async () => {
    const sql = await open().schema.sql();
    await postgres.query(sql);
    const store = open({ migrate: false });
    await store.init();
    await store.appendToStream('shared-1', [counted(1)]);
    expect(await store.streamExists('shared-1')).toBe(true);
  });

  it('refuses a database that a newer release has changed in a way that it does not know', async () => {
    await open().init();
    await postgres.query(
      `insert into nestbox.migrations (lib, target, version, name, checksum, release, breaking)
       select lib, target, 999, '999_later.sql', 'later', '99.0.0', true
         from nestbox.migrations where lib = 'event-store' order by version desc limit 1`,
    );
    for (const migrate of [true, false]) {
      const error = await failureOf(open({ migrate }).init());
      expect(error).toBeInstanceOf(MigrationTooNewError);
      expect(error.message).toContain('Upgrade to 99.0.0 or later');
    }
  });

  it('refuses a database whose migrations are not its own', async () => {
    await open().init();
    await postgres.query(
      `update nestbox.migrations set checksum = 'other' where lib = 'event-store' and version = 1`,
    );
    expect(await failureOf(open().init())).toBeInstanceOf(MigrationChecksumError);
  });

  it('says that there is no server, and starts when there is one', async () => {
    const port = await freePort();
    const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
    const store = createEventStore({ url, connectTimeout: '300ms' });
    opened.push(store);
    const error = await failureOf(store.init());
    expect(error).toBeInstanceOf(PostgresUnavailableError);
    expect(error.message).toContain(`127.0.0.1:${port}`);
    await using server = await startPostgres({ port });
    expect(server.port).toBe(port);
    await store.init();
    await store.appendToStream('shared-1', [counted(1)]);
    await store.close();
  });
});
