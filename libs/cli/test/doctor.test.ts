import { jest } from '@jest/globals';
import { Postgres } from '@nestbox/postgres';
import { Redis } from '@nestbox/redis';
import { startPostgres, startRedis, testDatabase, testRedis, type TestDatabase } from '@nestbox/testing';
import { run, type Ran } from './support/command.js';

// Many commands, or processes of their own, which take a while on a busy machine.
jest.setTimeout(90_000);

interface Finding {
  check: string;
  status: string;
  message: string;
  advice: string | null;
}

interface Report {
  problems: number;
  warnings: number;
  findings: Finding[];
}

let database: TestDatabase;
let postgres: Postgres;

beforeEach(async () => {
  database = await testDatabase();
  postgres = new Postgres(database.url);
});

afterEach(async () => {
  await postgres.close();
  await database.drop();
});

function doctor(...args: string[]): Promise<Ran> {
  return run(['doctor', ...args], { env: { DATABASE_URL: database.url } });
}

async function report(...args: string[]): Promise<Report> {
  return (await doctor('--json', ...args)).json();
}

/** What is not well, without the settings of a test server, which is fast and unsafe. */
function unwell({ findings }: Report): Finding[] {
  return findings.filter(
    ({ check, status }) => status !== 'ok' && !/fsync|full_page|synchronous|persistence/.test(check),
  );
}

it('finds nothing wrong with a database that was migrated, and the index of every table', async () => {
  expect((await run(['migrate', 'run'], { env: { DATABASE_URL: database.url } })).code).toBe(0);
  const { url } = await testRedis();
  const found = await report('--redis-url', url);
  expect(unwell(found)).toEqual([]);
  expect(found.findings.map(({ check }) => check)).toEqual([
    'node.version',
    'postgres.connection',
    'postgres.version',
    'postgres.role',
    'postgres.encoding',
    'postgres.fsync',
    'postgres.full_page_writes',
    'postgres.synchronous_commit',
    'postgres.connections',
    'postgres.clock',
    'postgres.listen',
    'schema.postgres',
    'schema.kv',
    'schema.channels',
    'schema.event-hub',
    'schema.backplane',
    'schema.backplane',
    'schema.event-store',
    'schema.workflows',
    'indexes',
    'redis.connection',
    'redis.version',
    'redis.maxmemory-policy',
    'redis.persistence',
    'redis.role',
  ]);
  for (const { status, advice } of found.findings) expect(advice === null).toBe(status === 'ok');
});

it('misses each index that a migration has made, once it is gone', async () => {
  await run(['migrate', 'run'], { env: { DATABASE_URL: database.url } });
  // Not those of partitions, which follow their table, and no foreign key's.
  const all = await postgres.query<{ index: string; table: string; constraint: string | null }>(`
    select format('%I.%I', n.nspname, c.relname) as index, format('%I.%I', n.nspname, t.relname) as table, o.conname as constraint
      from pg_index i
      join pg_class c on c.oid = i.indexrelid
      join pg_class t on t.oid = i.indrelid
      join pg_namespace n on n.oid = t.relnamespace
      left join pg_constraint o on o.conindid = c.oid and o.contype in ('p', 'u') and o.conrelid = t.oid
     where n.nspname in ('nestbox', 'public', 'serverless', 'event_store', 'workflows') and not t.relispartition`);
  expect(all.length).toBeGreaterThan(40);
  for (const { index, table, constraint } of all) {
    const drop =
      constraint === null
        ? `drop index ${index}`
        : `alter table ${table} drop constraint "${constraint}" cascade`;
    await postgres.query(drop);
  }
  const found = unwell(await report());
  expect(found).toHaveLength(all.length);
  for (const { table } of all) {
    const name = table.replaceAll('"', '');
    const isMissed = found.some(
      ({ check, message }) => check === 'indexes' && message.startsWith(`${name} lacks its `),
    );
    expect({ name, isMissed }).toEqual({ name, isMissed: true });
  }
});

it('finds a missing primary key, and an index that is not valid', async () => {
  await run(['migrate', 'run', '--lib', 'kv'], { env: { DATABASE_URL: database.url } });
  await postgres.query('alter table kv_store_history drop constraint kv_store_history_pkey');
  await postgres.query(
    `update pg_index set indisvalid = false where indexrelid = 'kv_store_expires_at_idx'::regclass`,
  );
  expect(unwell(await report())).toEqual([
    {
      check: 'indexes',
      status: 'problem',
      message: 'public.kv_store_history lacks its primary key (key, version)',
      advice: 'Create it again as nestbox migrate sql prints it.',
    },
    {
      check: 'indexes',
      status: 'problem',
      message: 'index "kv_store_expires_at_idx" of public.kv_store is not valid, so that it is not used',
      advice: 'Build it anew: reindex index "public"."kv_store_expires_at_idx"',
    },
  ]);
  expect((await doctor()).code).toBe(3);
});

it('says that nothing of Nestbox is there', async () => {
  expect(unwell(await report())).toEqual([
    {
      check: 'schema',
      status: 'warning',
      message: 'nothing of Nestbox is in this database',
      advice: 'Create it: nestbox migrate run. Or check that the URL is the right one.',
    },
  ]);
});

it('finds a schema that is too old, one of a newer release, and one that was changed', async () => {
  await run(['migrate', 'run'], { env: { DATABASE_URL: database.url } });
  await postgres.query(`delete from nestbox.migrations where lib = 'kv' and name = 'sweep.sql'`);
  await postgres.query(
    `update nestbox.migrations set checksum = 'x' where lib = 'workflows' and name like '001%'`,
  );
  const found = unwell(await report());
  expect(found).toEqual([
    expect.objectContaining({
      check: 'schema.kv',
      status: 'problem',
      message: 'public.kv_store is at version 1 of 1; pending: sweep.sql',
      advice: 'Apply it: nestbox migrate run --lib kv',
    }),
    expect.objectContaining({
      check: 'schema.workflows',
      status: 'problem',
      message: expect.stringContaining('001_workflows.sql of workflows was changed'),
    }),
  ]);
});

it('tells a read-only database, and settings that lose data', async () => {
  const [row] = await postgres.query('select quote_ident(current_database()) as name');
  await postgres.query(`alter database ${String(row!['name'])} set default_transaction_read_only = on`);
  await postgres.query(`alter database ${String(row!['name'])} set synchronous_commit = off`);
  const { findings } = await report();
  expect(findings).toContainEqual(expect.objectContaining({ check: 'postgres.role', status: 'problem' }));
  expect(findings).toContainEqual(
    expect.objectContaining({ check: 'postgres.synchronous_commit', status: 'warning' }),
  );
});

it('prints its findings for people, with what to do', async () => {
  const { out, code } = await doctor();
  expect(out).toMatch(/^ok {7}node\.version: Node /);
  expect(out).toContain('\nok       postgres.listen: a notification came back in ');
  expect(out).toContain(
    'warning  schema: nothing of Nestbox is in this database\n         -> Create it: nestbox migrate run.',
  );
  expect(out).toMatch(/\n\n(\d problems?, \d+ warnings?|All is well)\.$/);
  expect([0, 3]).toContain(code);
});

it('reports servers that cannot be reached as problems', async () => {
  const around = {
    env: { DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/app', REDIS_URL: 'redis://:hunter2@127.0.0.1:1' },
  };
  const ran = await run(['doctor', '--json'], around);
  expect(ran).toMatchObject({ code: 3, error: '' });
  expect(ran.out).not.toContain('hunter2');
  expect(ran.json<Report>().findings).toEqual([
    expect.objectContaining({ check: 'node.version' }),
    expect.objectContaining({
      check: 'postgres.connection',
      status: 'problem',
      message: expect.stringContaining('ECONNREFUSED'),
    }),
    expect.objectContaining({
      check: 'redis.connection',
      status: 'problem',
      message: expect.stringContaining('127.0.0.1:1'),
    }),
  ]);
});

it('says that no server is given', async () => {
  expect(await run(['doctor'])).toMatchObject({
    code: 2,
    error: expect.stringContaining('no server is given'),
  });
});

it('finds eviction and a replica of Redis, and a durable PostgreSQL well', async () => {
  await using redis = await startRedis();
  await using server = await startPostgres({
    settings: { fsync: 'on', full_page_writes: 'on', max_connections: 20 },
  });
  const admin = new Redis(redis.url);
  try {
    await admin.client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await admin.client.config('SET', 'appendonly', 'yes');
    const { findings } = (
      await run(['doctor', '--json', '--url', server.url, '--redis-url', redis.url])
    ).json<Report>();
    const of = (check: string): Finding => findings.find((each) => each.check === check)!;
    expect(of('redis.maxmemory-policy')).toMatchObject({
      status: 'problem',
      message: expect.stringMatching(/^allkeys-lru: /),
    });
    expect(of('redis.persistence')).toMatchObject({ status: 'ok' });
    expect(of('postgres.fsync')).toMatchObject({ status: 'ok' });
    expect(of('postgres.full_page_writes')).toMatchObject({ status: 'ok' });
    expect(of('postgres.connections')).toMatchObject({ status: 'warning' });
    await admin.client.config('SET', 'maxmemory-policy', 'volatile-ttl');
    await admin.client.replicaof('127.0.0.1', 1);
    const again = (await run(['doctor', '--json', '--redis-url', redis.url])).json<Report>();
    expect(again.findings.map(({ check, status }) => [check, status])).toEqual([
      ['node.version', 'ok'],
      ['redis.connection', 'ok'],
      ['redis.version', 'ok'],
      ['redis.maxmemory-policy', 'warning'],
      ['redis.persistence', 'ok'],
      ['redis.role', 'problem'],
    ]);
  } finally {
    await admin.close();
  }
});
