import { PgBackplane } from '@nestbox/channels';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import postgresJs from 'postgres';

/** Publishing inside of transactions on a pool that has no connection left. */

let database: TestDatabase;
let client: postgresJs.Sql;

beforeAll(async () => {
  database = await testDatabase();
  client = postgresJs(database.url, { max: 3, onnotice: () => undefined });
});
afterAll(async () => {
  await client.end({ timeout: 5 });
  await database.drop();
});

const RETENTION = { size: 10, ttlMs: 60_000 };

it.each(['its own', 'a passed-in client’s'])('begins histories in a pool that is full (%s)', async (kind) => {
  const postgres = new Postgres(kind === 'its own' ? { url: database.url, options: { max: 3 } } : { client });
  const backplane = new PgBackplane(postgres, { name: kind === 'its own' ? 'own' : 'shared' });
  await backplane.open('node', {
    onMessage: () => undefined,
    onGap: () => undefined,
    onRecovered: () => undefined,
  });
  try {
    let inside = 0;
    let allInside!: () => void;
    const everyConnectionIsTaken = new Promise<void>((resolve) => (allInside = resolve));
    const topics = Array.from({ length: 12 }, (_, i) => `topic ${i}`);
    await Promise.all(
      topics.map((topic) =>
        postgres.transaction(async () => {
          await postgres.query('select 1');
          if (++inside === 3) allInside();
          await everyConnectionIsTaken;
          const payload = Buffer.from(topic);
          await backplane.publish({ topic, payload, binary: false, except: [] }, RETENTION);
        }),
      ),
    );
    for (const topic of topics) {
      const page = await backplane.history(topic);
      expect(page!.messages.map(({ payload }) => payload.toString())).toEqual([topic]);
    }
  } finally {
    await backplane.close();
    await postgres.close();
  }
});
