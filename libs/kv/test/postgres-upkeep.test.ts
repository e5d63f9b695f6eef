import { KeyValueStore, PostgresAdapter, type StoredChange } from '@nestbox/kv';
import { Postgres } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { setTimeout as delay } from 'node:timers/promises';

let database: TestDatabase;
let db: Postgres;
let tables = 0;
const opened: PostgresAdapter[] = [];

beforeAll(async () => {
  database = await testDatabase();
  db = new Postgres(database.url);
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((adapter) => adapter.close()));
});

afterAll(async () => {
  await db.close();
  await database.drop();
});

function open(options: Partial<ConstructorParameters<typeof PostgresAdapter>[0]>): PostgresAdapter {
  const adapter = new PostgresAdapter({ client: db, sweepInterval: 50, ...options });
  opened.push(adapter);
  return adapter;
}

async function count(table: string): Promise<number> {
  const [row] = await db.query(`select count(*)::int as count from ${table}`);
  return Number(row!['count']);
}

describe('the sweep of a PostgreSQL store', () => {
  it('removes expired rows, in batches, also when many sweep at once', async () => {
    const tableName = `sweep_${++tables}`;
    const adapter = open({ tableName });
    const others = Array.from({ length: 3 }, () => open({ tableName }));
    await Promise.all(others.map((other) => other.init()));
    const entries = Array.from({ length: 2000 }, (_, i) => ({
      key: `key ${i}`,
      value: i,
      expiry: { ttl: 50 },
    }));
    const feed = await adapter.openFeed({ prefix: '' });
    await adapter.setMany([
      ...entries,
      { key: 'stays', value: 1 },
      { key: 'later', value: 1, expiry: { ttl: '1h' } },
    ]);
    await eventually(async () => (await count(tableName)) === 2);
    const changes: StoredChange[] = [];
    while (changes.length < 4002) changes.push(...(await feed.read()));
    const expired = changes.filter((change) => change.expired);
    expect(expired).toHaveLength(2000);
    expect(new Set(expired.map(({ key }) => key)).size).toBe(2000);
    expect(expired.every(({ type, version }) => type === 'delete' && version === 2n)).toBe(true);
    expect(await adapter.set('key 7', 'again')).toEqual({ version: 3n });
    expect(Object.keys(await adapter.all()).sort()).toEqual(['key 7', 'later', 'stays']);
  });

  it('never removes an entry that was just written again', async () => {
    const tableName = `sweep_${++tables}`;
    const adapters = Array.from({ length: 3 }, () => open({ tableName, sweepInterval: 1 }));
    const [adapter] = adapters as [PostgresAdapter];
    await adapter.init();
    const until = performance.now() + 2000;
    let rounds = 0;
    const hammer = async (key: string, write: (value: number) => Promise<unknown>): Promise<void> => {
      for (let i = 0; performance.now() < until; i++) {
        await adapter.set(key, 'short', { expiry: { ttl: 1 + (i % 4) } });
        await delay(i % 5);
        await write(i);
        await delay(i % 3);
        expect(await adapter.get(key)).toBe(i);
        rounds++;
      }
    };
    await Promise.all([
      ...Array.from({ length: 4 }, (_, n) => hammer(`set ${n}`, (i) => adapter.set(`set ${n}`, i))),
      hammer('many', (i) => adapter.setMany([{ key: 'many', value: i }])),
      hammer('commit', (i) => adapter.commit([{ type: 'set', key: 'commit', value: i }])),
    ]);
    expect(rounds).toBeGreaterThan(100);
  });

  it('goes on while a row is locked, and takes it the next time', async () => {
    const tableName = `sweep_${++tables}`;
    const adapter = open({ tableName });
    await adapter.setMany([
      { key: 'locked', value: 1, expiry: { ttl: 1 } },
      { key: 'free', value: 1, expiry: { ttl: 1 } },
    ]);
    await db.transaction(async (transaction) => {
      const [row] = await transaction.query(
        `select key from ${tableName} where key = 'locked' for update skip locked`,
      );
      if (row === undefined) return;
      await eventually(async () => {
        const rows = await db.client.unsafe(`select key from ${tableName}`);
        expect(rows.map((left) => String(left['key']))).toEqual(['locked']);
      });
    });
    await eventually(async () => (await count(tableName)) === 0);
  });

  it('goes on after the connection was lost', async () => {
    const tableName = `sweep_${++tables}`;
    const adapter = open({ tableName });
    await adapter.init();
    await db.client`select pg_terminate_backend(pid) from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid()`;
    await eventually(() => adapter.set('a', 1, { expiry: { ttl: 1 } }));
    await eventually(async () => expect(await count(tableName)).toBe(0));
  });
});

describe('the versions of a PostgreSQL store', () => {
  it('are not used twice after the tombstones are swept', async () => {
    const tableName = `floor_${++tables}`;
    const adapter = open({ tableName, tombstoneTtl: 1 });
    for (let i = 0; i < 5; i++) await adapter.set('a', i);
    await adapter.set('b', 1);
    await adapter.delete('a');
    await adapter.delete('b');
    await eventually(async () => (await count(`${tableName}_tombstones`)) === 0);
    expect(await adapter.set('a', 1)).toEqual({ version: 7n });
    expect(await adapter.setMany([{ key: 'b', value: 1 }])).toEqual(new Map([['b', 7n]]));
    expect(await adapter.increment('c', 1n)).toEqual({ value: 1n, version: 7n });
    expect(await adapter.set('a', 2)).toEqual({ version: 8n });
  });

  it('are not used twice however sets, deletions, expiries and sweeps meet', async () => {
    const tableName = `floor_${++tables}`;
    const url = database.url;
    const adapters = Array.from({ length: 3 }, () =>
      open({ connectionString: url, client: undefined, tableName, sweepInterval: 2, tombstoneTtl: 2 }),
    );
    const feed = await adapters[0]!.openFeed({ prefix: '' });
    const until = performance.now() + 2000;
    const seen: { key: string; version: bigint }[] = [];
    const worker = async (n: number): Promise<void> => {
      const adapter = adapters[n % 3]!;
      for (let i = 0; performance.now() < until; i++) {
        const key = `key ${(i + n) % 3}`;
        const note = (version: bigint): unknown => seen.push({ key, version });
        switch ((i * 7 + n) % 6) {
          case 0:
          case 1:
            note((await adapter.set(key, i)).version);
            break;
          case 2:
            note((await adapter.set(key, i, { expiry: { ttl: 1 } })).version);
            break;
          case 3:
            note((await adapter.setMany([{ key, value: i }])).get(key)!);
            break;
          case 4: {
            const result = await adapter.commit([{ type: 'set', key, value: i }]);
            if (result.ok) note(result.versions.get(key)!);
            break;
          }
          default:
            await adapter.delete(key);
        }
      }
    };
    await Promise.all(Array.from({ length: 9 }, (_, n) => worker(n)));
    expect(seen.length).toBeGreaterThan(200);
    expect(new Set(seen.map(({ key, version }) => `${key} ${version}`)).size).toBe(seen.length);
    // The log has each of them, in the order of versions, and each deletion with a version of its own.
    await adapters[0]!.set('end', 1);
    const changes: StoredChange[] = [];
    while (!changes.some((change) => change.key === 'end')) changes.push(...(await feed.read()));
    for (const key of ['key 0', 'key 1', 'key 2']) {
      const versions = changes.filter((change) => change.key === key).map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((x, y) => (x < y ? -1 : 1)));
    }
    const sets = changes.filter(({ type, key }) => type === 'set' && key !== 'end');
    expect(sets.map(({ key, version }) => `${key} ${version}`).sort()).toEqual(
      seen.map(({ key, version }) => `${key} ${version}`).sort(),
    );
  });
});

describe('the log of a PostgreSQL store', () => {
  async function isLogging(tableName: string): Promise<boolean> {
    const [row] = await db.query(`select last_value::text as value from ${tableName}_watched`);
    return row!['value'] === '1';
  }

  it('keeps the first changes for those who come late, then rests until somebody watches', async () => {
    const tableName = `log_${++tables}`;
    const adapter = open({ tableName });
    for (let i = 0; i < 3; i++) await adapter.set('a', i);
    const late = await adapter.openFeed({ prefix: '', fromRevision: 1n });
    expect((await late.read()).map(({ value }) => value)).toEqual([0, 1, 2]);
    await late.close();

    const unwatched = `log_${++tables}`;
    const busy = open({ tableName: unwatched });
    await eventually(
      async () => {
        await Promise.all(Array.from({ length: 500 }, (_, i) => busy.set(`key ${i}`, i)));
        return !(await isLogging(unwatched));
      },
      { intervalMs: 1 },
    );
    await eventually(async () => (await count(`${unwatched}_changes`)) === 0);
    await busy.set('unseen', 1);
    expect(await count(`${unwatched}_changes`)).toBe(0);
    await expect(busy.openFeed({ prefix: '', fromRevision: 1n })).rejects.toMatchObject({
      code: 'REVISION_TRIMMED',
    });
    const feed = await busy.openFeed({ prefix: '' });
    expect(await isLogging(unwatched)).toBe(true);
    await busy.set('seen', 1);
    expect((await feed.read()).map(({ key }) => key)).toEqual(['seen']);
  });

  it('rests when nobody has watched for as long as changes are kept, and forgets', async () => {
    const tableName = `log_${++tables}`;
    const adapter = open({ tableName, changes: { retention: 400 } });
    await adapter.setMany(Array.from({ length: 1001 }, (_, i) => ({ key: `key ${i}`, value: i })));
    const feed = await adapter.openFeed({ prefix: '' });
    await adapter.set('a', 1);
    const [{ revision }] = (await feed.read()) as [StoredChange];
    await feed.close();
    // For a while one may come back.
    const again = await adapter.openFeed({ prefix: '', fromRevision: revision });
    expect((await again.read()).map(({ key }) => key)).toEqual(['a']);
    await again.close();
    await eventually(async () => !(await isLogging(tableName)));
    await adapter.set('b', 1);
    await expect(adapter.openFeed({ prefix: '', fromRevision: revision + 1n })).rejects.toMatchObject({
      code: 'REVISION_TRIMMED',
      fromRevision: revision + 1n,
    });
    await eventually(async () => (await count(`${tableName}_changes`)) === 0);
    // What comes after a rest begins above all that anybody has seen.
    expect(await adapter.revision()).toBeGreaterThan(revision);
  });

  it('is kept as long as somebody watches, in whatever process, though it is trimmed', async () => {
    const tableName = `log_${++tables}`;
    const options = { tableName, changes: { retention: 200 } };
    const watching = open(options);
    const other = open({ ...options, connectionString: database.url, client: undefined });
    const feed = await watching.openFeed({ prefix: '' });
    const seen: unknown[] = [];
    const until = performance.now() + 1500;
    for (let i = 0; performance.now() < until; i++) {
      await other.set('a', i);
      seen.push(...(await feed.read()).map(({ value }) => value));
      await delay(5);
    }
    expect(seen).toEqual(seen.map((_, i) => i));
    expect(await isLogging(tableName)).toBe(true);
    expect(await count(`${tableName}_changes`)).toBeLessThan(seen.length);
    const trimmed = watching.openFeed({ prefix: '', fromRevision: 1n });
    await expect(trimmed).rejects.toMatchObject({ code: 'REVISION_TRIMMED' });
    const oldest = await trimmed.catch((error: { oldestRevision: bigint }) => error.oldestRevision);
    const kept = await watching.openFeed({ prefix: '', fromRevision: (oldest as bigint) + 5n });
    await other.set('end', 1);
    expect((await kept.read()).length).toBeGreaterThan(0);
  });

  it('tells exactly from which revision on it has everything, also when nothing is left', async () => {
    const tableName = `log_${++tables}`;
    const adapter = open({ tableName, changes: { retention: 300 } });
    const holding = await adapter.openFeed({ prefix: '' });
    for (let i = 0; i < 5; i++) await adapter.set('a', i);
    const revision = await adapter.revision();
    await eventually(async () => (await count(`${tableName}_changes`)) === 0);
    await expect(adapter.openFeed({ prefix: '', fromRevision: revision })).rejects.toMatchObject({
      code: 'REVISION_TRIMMED',
      oldestRevision: revision + 1n,
    });
    const next = await adapter.openFeed({ prefix: '', fromRevision: revision + 1n });
    await adapter.set('a', 'next');
    expect((await next.read()).map(({ value }) => value)).toEqual(['next']);
    // A feed that nobody read from while it was trimmed is told so, unless it is still in memory.
    expect((await holding.read()).map(({ value }) => value)).toEqual([0, 1, 2, 3, 4, 'next']);
  });

  it('tells a reader that fell behind', async () => {
    const tableName = `log_${++tables}`;
    // Longer than it takes to read all of them, also on a machine that is busy.
    const changes = { retention: '5s' } as const;
    const adapter = open({ tableName, changes });
    const reader = open({
      tableName,
      changes,
      connectionString: database.url,
      client: undefined,
    });
    const feed = await reader.openFeed({ prefix: 'k' });
    const fast = await reader.openFeed({ prefix: '' });
    await adapter.setMany(Array.from({ length: 6000 }, (_, i) => ({ key: `key ${i}`, value: i })));
    await adapter.set('end', 1);
    for (let last = ''; last !== 'end';) last = (await fast.read()).at(-1)!.key;
    await eventually(async () => (await count(`${tableName}_changes`)) === 0, { timeoutMs: 20_000 });
    await expect(feed.read()).rejects.toMatchObject({ code: 'REVISION_TRIMMED' });
  });

  it('misses nothing of transactions that were open when somebody began to watch', async () => {
    const tableName = `log_${++tables}`;
    const adapter = open({ tableName, changes: { retention: 300 } });
    await adapter.setMany(Array.from({ length: 1001 }, (_, i) => ({ key: `key ${i}`, value: i })));
    await eventually(async () => !(await isLogging(tableName)));
    const watcher = open({
      tableName,
      changes: { retention: '1h' },
      connectionString: database.url,
      client: undefined,
    });
    await watcher.init();
    const store = new KeyValueStore({ adapter });
    let opening: Promise<unknown> | undefined;
    let isOpen = false;
    await db.transaction(async () => {
      await store.set('unlogged', 1);
      opening = watcher.openFeed({ prefix: '' }).then((feed) => {
        isOpen = true;
        return feed;
      });
      await eventually(() => isLogging(tableName).then((logging) => logging));
      await delay(50);
      expect(isOpen).toBe(false);
    });
    const feed = (await opening) as Awaited<ReturnType<PostgresAdapter['openFeed']>>;
    // It was committed before the feed was open; what comes after is seen.
    await store.set('after', 1);
    expect((await feed.read()).map(({ key }) => key)).toEqual(['after']);
  });
});
