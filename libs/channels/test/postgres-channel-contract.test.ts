import { PgChannelStore } from '@nestbox/channels';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { channelContract } from '@nestbox/testing/contracts';

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

channelContract('the PostgreSQL store of channels', {
  create: () => {
    const schema = `Channels "${++schemas}"`;
    return Promise.resolve({
      store: new PgChannelStore(postgres, schema),
      another: () => Promise.resolve(new PgChannelStore(elsewhere, schema)),
    });
  },
  capabilities: { ordered: true, atomic: true },
});
