import { PgChannelStore } from '@nestbox/channels';
import { PgEventHubStore } from '@nestbox/event-hub';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { eventHubContract } from '@nestbox/testing/contracts';

let database: TestDatabase;
let postgres: Postgres;
let elsewhere: Postgres;
let schemas = 0;

beforeAll(async () => {
  database = await testDatabase();
  postgres = new Postgres(database.url);
  elsewhere = new Postgres(database.url);
});

afterAll(async () => {
  await Promise.all([postgres.close(), elsewhere.close()]);
  await database.drop();
});

eventHubContract('the PostgreSQL store of subscriptions', {
  create: () => {
    const schema = `Hub "${++schemas}"`;
    const open = (source: Postgres) => ({
      channels: new PgChannelStore(source, schema),
      hub: new PgEventHubStore(source, schema),
    });
    return Promise.resolve({ ...open(postgres), another: () => Promise.resolve(open(elsewhere)) });
  },
  capabilities: { refusesUnknownChannels: true, ordered: true },
});
