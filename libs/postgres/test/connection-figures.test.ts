import { Postgres } from '@nestbox/postgres';
import { spawnFixture, testDatabase, type TestDatabase } from '@nestbox/testing';

let database: TestDatabase;
let opened: Postgres | undefined;

beforeAll(async () => {
  database = await testDatabase();
});

afterAll(async () => {
  await database.drop();
});

afterEach(async () => {
  await opened?.close();
});

function open(max: number): Postgres {
  opened = new Postgres({ url: database.url, options: { max } });
  return opened;
}

const prepared = 'select count(*)::int as count from pg_prepared_statements';

describe('The prepared statements of a connection', () => {
  it('stay few when every text is a new one', async () => {
    const db = open(1);
    let most = 0;
    for (let i = 0; i < 1200; i++) {
      expect(await db.query(`select $1::int + ${i} as sum`, [1])).toEqual([{ sum: 1 + i }]);
      if (i % 50 === 0) most = Math.max(most, Number((await db.query(prepared))[0]!['count']));
    }
    expect(most).toBeGreaterThan(400);
    expect(most).toBeLessThanOrEqual(500);
  });

  it('stay few in one transaction, which goes on', async () => {
    const db = open(1);
    await db.transaction(async (tx) => {
      for (let i = 0; i < 700; i++) {
        expect(await tx.query(`select $1::int + ${i} as sum`, [1])).toEqual([{ sum: 1 + i }]);
      }
      expect(await tx.query(prepared)).toEqual([{ count: 500 }]);
      // Those that are prepared are used again.
      expect(await tx.query('select $1::int + 0 as sum', [5])).toEqual([{ sum: 5 }]);
    });
    expect(await db.query(prepared)).toEqual([{ count: 0 }]);
  });
});

describe('Many connections that are opened at once', () => {
  it('are no leak of listeners', async () => {
    const fixture = await spawnFixture(new URL('./fixtures/open-many.mjs', import.meta.url), {
      args: [database.url],
    });
    expect(await fixture.waitFor('opened')).toMatchObject({ open: 30, warnings: ['Warning'] });
    await fixture.exited;
  });
});
