import { KvOperationError, PostgresAdapter } from '@nestbox/kv';
import { Postgres } from '@nestbox/postgres';
import { eventually, startPostgres, testDatabase, type TestDatabase } from '@nestbox/testing';

let database: TestDatabase;
let admin: Postgres;
let tables = 0;

beforeAll(async () => {
  database = await testDatabase();
  admin = new Postgres(database.url);
});

afterAll(async () => {
  await admin.close();
  await database.drop();
});

function openOn(tableName: string, max = 4): { adapter: PostgresAdapter; close: () => Promise<void> } {
  const postgres = new Postgres({ url: database.url, options: { max } });
  const adapter = new PostgresAdapter({ client: postgres, tableName, sweepInterval: 20 });
  return {
    adapter,
    close: async () => {
      await adapter.close();
      await postgres.close();
    },
  };
}

async function killOthers(): Promise<void> {
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
  );
}

describe('a PostgreSQL store whose connections are killed', () => {
  it('settles every call once, does nothing by halves, and is usable at once', async () => {
    const tableName = `killed_${++tables}`;
    const { adapter, close } = openOn(tableName);
    await adapter.init();
    // Each row takes its time, so that the kill meets statements half way.
    await admin.query(`
      create function slow_${tableName}() returns trigger language plpgsql as
        'begin perform pg_sleep(0.001); return new; end';
      create trigger slow before insert on ${tableName} for each row execute function slow_${tableName}()`);
    let settled = 0;
    const outcome = async (promise: Promise<unknown>): Promise<'done' | 'failed'> => {
      try {
        await promise;
        return 'done';
      } catch (error) {
        expect(error).toBeInstanceOf(KvOperationError);
        // By shape: an error of Node's own is no instance of the `Error` that a test has.
        expect((error as Error).cause).toMatchObject({ message: expect.any(String) });
        return 'failed';
      } finally {
        settled++;
      }
    };
    for (let round = 0; round < 3; round++) {
      settled = 0;
      const singles = Array.from({ length: 200 }, (_, i) => outcome(adapter.set(`single ${round} ${i}`, i)));
      const many = Array.from({ length: 4 }, (_, n) =>
        outcome(
          adapter.setMany(
            Array.from({ length: 50 }, (__, i) => ({ key: `many ${round} ${n} ${i}`, value: i })),
          ),
        ),
      );
      const commits = Array.from({ length: 4 }, (_, n) =>
        outcome(
          adapter.commit(
            Array.from(
              { length: 20 },
              (__, i) => ({ type: 'set', key: `commit ${round} ${n} ${i}`, value: i }) as const,
            ),
          ),
        ),
      );
      await new Promise((resolve) => setTimeout(resolve, 30));
      await killOthers();
      const outcomes = await Promise.all([...singles, ...many, ...commits]);
      expect(outcomes).toContain('failed');
      expect(settled).toBe(208);
      const stored = await eventually(() => adapter.all());
      for (const [i, result] of outcomes.slice(0, 200).entries()) {
        // What was acknowledged is there. What failed may be, when only the answer was lost.
        if (result === 'done') expect(stored[`single ${round} ${i}`]).toBe(i);
      }
      for (const [kind, size, first] of [
        ['many', 50, 200],
        ['commit', 20, 204],
      ] as const) {
        for (let n = 0; n < 4; n++) {
          const prefix = `${kind} ${round} ${n} `;
          const count = Object.keys(stored).filter((key) => key.startsWith(prefix)).length;
          expect([0, size]).toContain(count);
          if (outcomes[first + n] === 'done') expect(count).toBe(size);
        }
      }
    }
    expect(await adapter.increment('n', 1n)).toMatchObject({ value: 1n });
    await close();
  });

  it('goes on watching where it was, when the whole server was away', async () => {
    await using server = await startPostgres();
    const adapter = new PostgresAdapter({ connectionString: server.url });
    const feed = await adapter.openFeed({ prefix: '' });
    await adapter.set('a', 1);
    expect((await feed.read()).map(({ key }) => key)).toEqual(['a']);
    const reading = feed.read();
    await server.kill();
    await expect(adapter.set('b', 1)).rejects.toThrow(/^Failed to set key "b": /);
    await server.start();
    await eventually(() => adapter.set('c', 1));
    expect((await reading).map(({ key }) => key)).toEqual(['c']);
    await adapter.close();
  });
});

describe('a PostgreSQL store with many writers', () => {
  it('never deadlocks, in whatever order calls name their keys', async () => {
    const tableName = `hammer_${++tables}`;
    const stores = Array.from({ length: 3 }, () => openOn(tableName));
    await Promise.all(stores.map(({ adapter }) => adapter.init()));
    const random = (below: number): number => Math.floor(Math.random() * below);
    const prefixes = ['a', 'b', '%', 'é', '🦊', '\uffee'];
    const shuffled = (): string[] => {
      const keys = Array.from({ length: 10 }, (_, i) => `${prefixes[random(prefixes.length)]}key ${i}`);
      return keys.filter(() => random(2) === 0).sort(() => random(3) - 1);
    };
    const until = performance.now() + 2000;
    let calls = 0;
    const work = async (adapter: PostgresAdapter): Promise<void> => {
      while (performance.now() < until) {
        calls++;
        const keys = shuffled();
        switch (random(7)) {
          case 0:
            await adapter.setMany(keys.map((key) => ({ key, value: calls })));
            break;
          case 1:
            await adapter.setMany(
              keys.map((key) => ({ key, value: calls, expiry: { ttl: 1 + random(10) } })),
            );
            break;
          case 2:
            await adapter.commit(
              keys.map((key, i) =>
                i % 3 === 0 ? { type: 'delete', key } : { type: 'set', key, value: calls },
              ),
            );
            break;
          case 3:
            await adapter.deleteMany(keys);
            break;
          case 4:
            await Promise.allSettled(
              keys.map((key, i) =>
                i % 2 === 0 ? adapter.set(key, 1, { ifVersion: BigInt(i) }) : adapter.increment(key, 1n),
              ),
            );
            break;
          case 5:
            await Promise.all(
              keys.map((key, i) => (i % 2 === 0 ? adapter.set(key, 1) : adapter.delete(key))),
            );
            break;
          default:
            await adapter.clear('a');
        }
      }
    };
    await Promise.all(stores.flatMap(({ adapter }) => Array.from({ length: 5 }, () => work(adapter))));
    await Promise.all(stores.map(({ close }) => close()));
    expect(calls).toBeGreaterThan(100);
    // Statistics are sent when a session ends.
    const [row] = await admin.query(
      `select deadlocks::int as deadlocks from pg_stat_database where datname = current_database()`,
    );
    expect(row!['deadlocks']).toBe(0);
  });
});
