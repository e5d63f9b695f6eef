import { runInRootScope } from '@nestbox/core';
import { PostgresAdapter } from '@nestbox/kv';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import postgres from 'postgres';
import { boundsOf } from '../src/postgres/key-bounds.js';

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

function nextTable(): string {
  return `store_${++tables}`;
}

function open(options: Partial<ConstructorParameters<typeof PostgresAdapter>[0]> = {}): PostgresAdapter {
  const adapter = new PostgresAdapter({ client: db, tableName: nextTable(), ...options });
  opened.push(adapter);
  return adapter;
}

describe('a connection of a PostgreSQL store', () => {
  it('may be given as its parts, a connection string, a client or a Postgres; only what is ours is closed', async () => {
    const { hostname, port, pathname } = new URL(database.url);
    const client = postgres(database.url, { max: 2, onnotice: () => undefined });
    const tableName = nextTable();
    const adapters = [
      new PostgresAdapter({
        host: hostname,
        port: Number(port),
        database: pathname.slice(1),
        user: 'postgres',
        tableName,
      }),
      new PostgresAdapter({ connectionString: database.url, tableName }),
      new PostgresAdapter({ client, tableName }),
      new PostgresAdapter({ client: db, tableName }),
    ];
    for (const adapter of adapters) await adapter.increment('n', 1n);
    expect(await Promise.all(adapters.map((adapter) => adapter.get('n')))).toEqual([4, 4, 4, 4]);
    await Promise.all(adapters.map((adapter) => adapter.close()));
    expect(await client`select 1 as one`).toMatchObject([{ one: 1 }]);
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
    await client.end({ timeout: 5 });
  });

  it('may have a client with parsers of its own', async () => {
    const client = postgres(database.url, {
      max: 1,
      fetch_types: false,
      transform: { undefined: null },
      types: {
        json: { to: 114, from: [114, 3802], serialize: String, parse: () => 'parsed by somebody else' },
        bigint: { to: 20, from: [20], serialize: String, parse: Number },
        date: { to: 1184, from: [1184], serialize: String, parse: () => 'a date' },
      },
    });
    const adapter = open({ client });
    await adapter.set('a', { x: [1, null] }, { expiry: { ttl: '1h' }, recordHistory: true });
    await adapter.increment('n', 2n ** 60n);
    expect(await adapter.getEntry('a')).toMatchObject({
      value: { x: [1, null] },
      version: 1n,
      expiresAt: expect.any(Date) as unknown,
    });
    expect(await adapter.increment('n', 1n)).toEqual({ value: 2n ** 60n + 1n, version: 2n });
    expect(await adapter.history('a', 5)).toMatchObject([{ value: { x: [1, null] } }]);
    await adapter.close();
    await client.end({ timeout: 5 });
  });

  it('is refused when it says nothing', () => {
    expect(() => new PostgresAdapter({})).toThrow('connectionString');
    expect(() => new PostgresAdapter({ connectionString: '' })).toThrow('connectionString');
    expect(() => new PostgresAdapter({ client: {} as never })).toThrow('client');
  });

  it('works without prepared statements, as behind PgBouncer in transaction mode', async () => {
    const unprepared = new Postgres({ url: database.url, prepare: false, listenUrl: database.url });
    const tableName = nextTable();
    const adapter = open({ client: unprepared, tableName });
    const feed = await adapter.openFeed({ prefix: '' });
    await Promise.all(Array.from({ length: 50 }, (_, i) => adapter.set(`key ${i}`, i)));
    await adapter.setMany([{ key: 'a', value: 1 }]);
    await adapter.commit([{ type: 'increment', key: 'a', by: 1n }]);
    expect(Object.keys(await adapter.all())).toHaveLength(51);
    expect((await feed.read()).length).toBeGreaterThan(0);
    await adapter.close();
    await unprepared.close();
  });
});

describe('a PostgreSQL store', () => {
  it('finds entries that somebody inserted by hand', async () => {
    const tableName = nextTable();
    const adapter = open({ tableName });
    await adapter.init();
    await db.query(`insert into ${tableName} (key, value) values ('a', '{"by": "hand"}'), ('n', '2.0')`);
    expect(await adapter.getEntry('a')).toMatchObject({
      value: { by: 'hand' },
      version: 1n,
      expiresAt: null,
    });
    expect(await adapter.set('a', 1)).toEqual({ version: 2n });
    await expect(adapter.increment('n', 1n)).rejects.toMatchObject({ code: 'NOT_A_COUNTER' });
  });

  it('fails only the call whose value the database refuses', async () => {
    const tableName = nextTable();
    const adapter = open({ tableName });
    await adapter.init();
    await db.query(`alter table ${tableName} add check (not value @> '{"poison": true}')`);
    const results = await Promise.allSettled(
      Array.from({ length: 200 }, (_, i) => adapter.set(`key ${i}`, i === 77 ? { poison: true } : { i })),
    );
    const failed = results.flatMap((result, i) => (result.status === 'rejected' ? [i] : []));
    expect(failed).toEqual([77]);
    expect((results[77] as PromiseRejectedResult).reason).toMatchObject({
      code: 'KV_OPERATION_FAILED',
      key: 'key 77',
      cause: { code: '23514' },
    });
    expect(Object.keys(await adapter.all())).toHaveLength(199);

    await db.query(`alter table ${tableName} add check (key <> 'counter' or value <> '7')`);
    const sums = await Promise.allSettled(Array.from({ length: 10 }, () => adapter.increment('counter', 1n)));
    expect(sums.filter(({ status }) => status === 'fulfilled')).toHaveLength(6);
    expect(await adapter.get('counter')).toBe(6);
    expect(await adapter.increment('counter', 2n)).toEqual({ value: 8n, version: 7n });
  });

  it('lists keys and prefixes by the primary key', async () => {
    const tableName = nextTable();
    const adapter = open({ tableName });
    await adapter.init();
    await db.query(
      `insert into ${tableName} (key, value)
       select md5(i::text), to_jsonb(i) from generate_series(1, 20000) i;
       analyze ${tableName}`,
    );
    const explain = async (condition: string, params: unknown[]): Promise<string> => {
      const rows = await db.query(
        `explain select * from ${tableName} t where ${condition} and (t.expires_at is null or t.expires_at > clock_timestamp())
          order by t.key limit 100`,
        params,
      );
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    };
    const { from, below } = boundsOf({ prefix: 'ab' });
    expect(below).toBe('ac');
    const plan = await explain('t.key >= $1 and t.key < $2', [from, below]);
    expect(plan).toMatch(new RegExp(`Index Scan (using|on) ${tableName}_pkey`));
    expect(plan).toContain("Index Cond: ((key >= 'ab'::text) AND (key < 'ac'::text))");
    expect(plan).not.toContain('Seq Scan');
    const listed = await adapter.list({ prefix: 'ab', limit: 1000 });
    expect(listed.length).toBeGreaterThan(20);
    expect(listed.every(({ key }) => key.startsWith('ab'))).toBe(true);
    expect((await adapter.stats('ab')).count).toBe(listed.length);
    expect(await adapter.clear('ab')).toBe(listed.length);
    expect((await adapter.stats('')).count).toBe(20_000 - listed.length);
  });

  it('writes and deletes any number of entries at once, or none', async () => {
    const tableName = nextTable();
    const adapter = open({ tableName });
    await adapter.init();
    await db.query(`alter table ${tableName} add check (value <> '"refused"')`);
    const entries = Array.from({ length: 3500 }, (_, i) => ({ key: `key ${i}`, value: 'x'.repeat(2000) }));
    const refused = [...entries];
    refused[3000] = { key: 'key 3000', value: 'refused' };
    await expect(adapter.setMany(refused)).rejects.toMatchObject({ cause: { code: '23514' } });
    expect(await adapter.all()).toEqual({});
    const versions = await adapter.setMany(entries);
    expect(versions.size).toBe(3500);
    expect(new Set(versions.values())).toEqual(new Set([1n]));
    expect(await adapter.deleteMany(entries.slice(100).map(({ key }) => key))).toBe(3400);
    expect((await adapter.stats('')).count).toBe(100);
    const { size, bytes } = await adapter.getStats();
    expect(size).toMatch(/^\d+(\.\d)? (kB|MB)$/);
    const [row] = await db.query(`select pg_total_relation_size('${tableName}')::text as bytes`);
    expect(bytes).toBe(Number(row!['bytes']));
  });

  it('keeps as many versions of a key as it is told', async () => {
    const adapter = open({ maxHistory: 3 });
    for (let i = 1; i <= 10; i++) await adapter.set('a', i, { recordHistory: true });
    expect((await adapter.history('a', 100)).map(({ value }) => value)).toEqual([10, 9, 8]);
    await Promise.all(Array.from({ length: 5 }, () => adapter.increment('a', 1n, { recordHistory: true })));
    expect((await adapter.history('a', 100)).map(({ value }) => value)).toEqual([15, 14, 13]);
  });

  it('refuses to watch without changes', async () => {
    const adapter = open({ changes: false });
    await adapter.set('a', 1);
    const unsupported = expect.objectContaining({ code: 'UNSUPPORTED_OPERATION' }) as Error;
    await expect(adapter.openFeed({ prefix: '' })).rejects.toEqual(unsupported);
    await expect(adapter.revision()).rejects.toEqual(unsupported);
  });

  it('knows leases of keys with the longest names', async () => {
    const adapter = open();
    const [one, other] = ['é'.repeat(256), `${'é'.repeat(255)}ab`];
    const lease = await adapter.lease(one, { ttl: '10s' });
    expect(lease.key).toBe(one);
    await (await adapter.lease(other, { ttl: '10s' })).release();
    await expect(adapter.lease(one, { ttl: '10s' })).rejects.toMatchObject({ code: 'LEASE_HELD', key: one });
    expect(await lease.release()).toBe(true);
  });

  it('lets leases go when it is closed, also on a shared Postgres', async () => {
    const tableName = nextTable();
    const first = open({ tableName });
    const lease = await first.lease('a', { ttl: '60s' });
    await first.close();
    expect(lease.held).toBe(false);
    const next = await open({ tableName }).lease('a', { ttl: '1s' });
    expect(next.fencingToken).toBeGreaterThan(lease.fencingToken);
  });
});

describe('a transaction around a PostgreSQL store', () => {
  it('may be the first use of the store, whose tables outlive its rollback', async () => {
    const tableName = nextTable();
    const adapter = open({ tableName });
    const rollback = new Error('rolled back');
    const failed = db.transaction(async () => {
      await adapter.set('a', 1);
      expect(await adapter.get('a')).toBe(1);
      throw rollback;
    });
    await expect(failed).rejects.toBe(rollback);
    expect(await adapter.get('a')).toBeUndefined();
    expect(await adapter.set('a', 2)).toEqual({ version: 1n });
  });

  it('sends each call by itself, in order, on its own connection', async () => {
    const tableName = nextTable();
    const adapter = open({ tableName });
    await adapter.init();
    await db.transaction(async (transaction) => {
      const [{ pid }] = (await transaction.query('select pg_backend_pid() as pid')) as [{ pid: number }];
      await Promise.all(Array.from({ length: 20 }, (_, i) => adapter.set('a', i)));
      expect(await adapter.getEntry('a')).toMatchObject({ value: 19, version: 20n });
      const [row] = await db.client`
        select count(*)::int as holders, bool_and(pid = ${pid}) as ours from pg_locks
         where relation = ${tableName}::regclass and mode = 'RowExclusiveLock'`;
      expect(row).toEqual({ holders: 1, ours: true });
      // Others see nothing of it yet.
      expect(await db.client`select * from ${db.client(tableName)}`).toHaveLength(0);
    });
    expect(await adapter.get('a')).toBe(19);
  });

  it('never gets a version twice under repeatable read, but a serialization failure', async () => {
    const tableName = nextTable();
    const adapter = open({ tableName });
    await adapter.set('other', 1);
    await adapter.delete('other');
    await adapter.set('a', 1);
    const outside = open({ tableName });
    const late = db.transaction(
      async (transaction) => {
        await transaction.query('select 1');
        await runInRootScope(() => outside.delete('a'));
        return adapter.set('a', 2);
      },
      { isolationLevel: 'repeatable read' },
    );
    await expect(late).rejects.toMatchObject({ cause: { code: '40001' } });
    expect(await adapter.set('a', 3)).toEqual({ version: 3n });
  });
});
