import { PostgresAdapter } from '@nestbox/kv';
import { Postgres } from '@nestbox/postgres';
import {
  postgresVersionsAtHand,
  startPostgres,
  type TestDatabase,
  type TestPostgres,
} from '@nestbox/testing';
import { kvContract } from '@nestbox/testing/contracts';

// Under `TEST_SERVERS=containers` there may be none installed; the container has the version of its image then.
const installed = postgresVersionsAtHand();
const versions = installed.length === 0 ? [undefined] : installed.map(({ major }) => major);

for (const version of versions) {
  describe(`PostgreSQL ${version ?? ''}`, () => {
    let server: TestPostgres;
    let database: TestDatabase;
    let postgres: Postgres;
    let tables = 0;

    beforeAll(async () => {
      server = await startPostgres({ version });
      database = await server.createDatabase();
      postgres = new Postgres(database.url);
    });

    afterAll(async () => {
      await postgres.close();
      await database.drop();
      await server[Symbol.asyncDispose]();
    });

    kvContract('PostgresAdapter', {
      capabilities: { query: true, atomicAcrossKeys: true, transactions: true },
      create: async () => {
        const options = { tableName: `Store "${++tables}"`, sweepInterval: 100 };
        return {
          adapter: new PostgresAdapter({ client: postgres, ...options }),
          another: async () => new PostgresAdapter({ connectionString: database.url, ...options }),
          transaction: (fn) => postgres.transaction(() => fn()),
          ruin: async () => {
            await postgres.query(`drop table "${options.tableName.replaceAll('"', '""')}"`);
          },
        };
      },
    });
  });
}
