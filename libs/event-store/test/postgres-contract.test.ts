import { PgEventStoreBackend } from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { eventStoreContract } from '@nestbox/testing/contracts';
import postgres, { type Sql } from 'postgres';

let database: TestDatabase;
let shared: Postgres;
let client: Sql;
let schemas = 0;

beforeAll(async () => {
  database = await testDatabase();
  shared = new Postgres(database.url);
  client = postgres(database.url, { max: 8, onnotice: () => undefined });
});

afterAll(async () => {
  await Promise.all([shared.close(), client.end()]);
  await database.drop();
});

const nextSchema = (): string => `Events "${++schemas}"`;

eventStoreContract('the PostgreSQL backend', {
  create: () => {
    const schema = nextSchema();
    return Promise.resolve({
      backend: new PgEventStoreBackend(shared, { schema }),
      another: () => Promise.resolve(new PgEventStoreBackend(database.url, { schema })),
    });
  },
});

// Such a client gives int8 as text, and dates as it likes.
eventStoreContract('the PostgreSQL backend on a client of postgres.js', {
  create: () => {
    const schema = nextSchema();
    return Promise.resolve({
      backend: new PgEventStoreBackend(client, { schema }),
      another: () => Promise.resolve(new PgEventStoreBackend(shared, { schema })),
    });
  },
});
