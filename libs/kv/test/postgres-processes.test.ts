import { KeyValueStore, PostgresAdapter } from '@nestbox/kv';
import { Postgres } from '@nestbox/postgres';
import { eventually, spawnFixture, testDatabase, type Fixture, type TestDatabase } from '@nestbox/testing';

interface Done {
  type: 'done';
  /** Such as `key 1 7`: each set that was committed. */
  versions: string[];
  increments: number;
  updates: number;
}

interface Seen {
  type: 'seen';
  changes: { type: 'set' | 'delete'; key: string; version: number; revision: number }[];
}

let database: TestDatabase;
let db: Postgres;

beforeAll(async () => {
  database = await testDatabase();
  db = new Postgres(database.url);
});

afterAll(async () => {
  await db.close();
  await database.drop();
});

function spawn(name: string, ...args: string[]): Promise<Fixture> {
  return spawnFixture(new URL(`./fixtures/${name}`, import.meta.url), { args: [database.url, ...args] });
}

/** Ends the connections on which somebody listens. */
async function killListeners(): Promise<number> {
  const rows = await db.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()
        and query like 'listen%' and state = 'idle'`,
  );
  return rows.length;
}

describe('a PostgreSQL store in several processes', () => {
  it('shows a watcher every change, in order, though transactions overlap and LISTEN is cut off', async () => {
    const tableName = 'watched';
    const store = new KeyValueStore({ adapter: new PostgresAdapter({ client: db, tableName }) });
    await store.init();
    await using watcher = await spawn('postgres-watcher.mjs', tableName);
    await watcher.waitFor('watching', 20_000);
    await using first = await spawn('postgres-writer.mjs', tableName, '8', '60');
    await using second = await spawn('postgres-writer.mjs', tableName, '8', '60');
    let killed = 0;
    let over = false;
    const killing = (async () => {
      while (!over) {
        killed += await killListeners();
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    })();
    const results = await Promise.all([first, second].map((writer) => writer.waitFor<Done>('done', 25_000)));
    over = true;
    await killing;
    expect(killed).toBeGreaterThan(0);
    await store.set('end', 1);
    const { changes } = await watcher.waitFor<Seen>('seen', 10_000);

    const revisions = changes.map(({ revision }) => revision);
    expect(revisions).toEqual([...new Set(revisions)].sort((x, y) => x - y));
    for (const key of new Set(changes.map((change) => change.key))) {
      const versions = changes.filter((change) => change.key === key).map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((x, y) => x - y));
    }
    const sets = changes.filter(({ type }) => type === 'set');
    const ours = (key: string): boolean => key.startsWith('key ');
    expect(
      sets
        .filter(({ key }) => ours(key))
        .map(({ key, version }) => `${key} ${version}`)
        .sort(),
    ).toEqual(results.flatMap(({ versions }) => versions).sort());
    const total = (what: 'increments' | 'updates'): number =>
      results.reduce((sum, result) => sum + result[what], 0);
    expect(await store.get('counter')).toBe(total('increments'));
    expect(await store.get('document')).toEqual({ n: total('updates') });
    expect(sets.filter(({ key }) => key === 'counter')).toHaveLength(total('increments'));
    expect(sets.filter(({ key }) => key === 'document')).toHaveLength(total('updates'));
    await store.close();
  });

  it('has one holder of a lease at a time, with tokens that grow', async () => {
    const tableName = 'leased';
    const store = new KeyValueStore({ adapter: new PostgresAdapter({ client: db, tableName }) });
    await store.init();
    await using first = await spawn('postgres-lease.mjs', tableName, '25');
    await using second = await spawn('postgres-lease.mjs', tableName, '25');
    const results = await Promise.all(
      [first, second].map((holder) =>
        holder.waitFor<{ type: 'done'; held: { token: number; from: number; to: number }[] }>('done', 25_000),
      ),
    );
    const held = results.flatMap((result) => result.held).sort((x, y) => x.from - y.from);
    expect(held).toHaveLength(50);
    for (const [i, { token, from }] of held.entries()) {
      if (i === 0) continue;
      expect(from).toBeGreaterThanOrEqual(held[i - 1]!.to);
      expect(token).toBeGreaterThan(held[i - 1]!.token);
    }
    await store.close();
  });

  it('keeps what was acknowledged when a writer is killed', async () => {
    const tableName = 'killed';
    const store = new KeyValueStore({ adapter: new PostgresAdapter({ client: db, tableName }) });
    const watch = store.watch();
    await watch.ready;
    await using writer = await spawn('postgres-writer.mjs', tableName, '4', '100000');
    await eventually(async () => ((await store.get<number>('counter')) ?? 0) > 20);
    await writer.kill();
    // Its open transactions are rolled back, and nobody waits for them.
    await store.setMany(Array.from({ length: 12 }, (_, i) => [`key ${i}`, 'after']));
    const counter = (await store.get<number>('counter'))!;
    await store.set('end', 1);
    let seen = 0;
    const last = new Map<string, unknown>();
    for await (const change of watch) {
      if (change.key === 'end') break;
      if (change.key === 'counter') seen++;
      last.set(change.key, change.type === 'set' ? change.value : undefined);
    }
    expect(seen).toBe(counter);
    for (const [key, value] of last) expect(await store.get(key)).toEqual(value);
    await store.close();
  });

  it('needs no more memory the longer it runs', async () => {
    await using soak = await spawnFixture(new URL('./fixtures/postgres-soak.mjs', import.meta.url), {
      args: [database.url, '6', '5000'],
      execArgv: ['--expose-gc'],
    });
    const rounds: number[] = [];
    while (rounds.length < 6) {
      const { megabytes } = await soak.waitFor<{ type: 'round'; megabytes: number }>('round', 25_000);
      rounds.push(megabytes);
    }
    // Changes that were logged for the watches stay at hand only while somebody watches.
    expect(rounds.at(-1)! - rounds[1]!).toBeLessThan(2);
    expect((await soak.exited).code).toBe(0);
  });
});
