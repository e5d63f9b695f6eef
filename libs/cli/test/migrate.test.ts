import { runCommandLine } from '@nestbox/cli';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';

let database: TestDatabase;
let postgres: Postgres;

beforeAll(async () => {
  database = await testDatabase();
  postgres = new Postgres(database.url);
});

afterAll(async () => {
  await postgres.close();
  await database.drop();
});

async function nestbox(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const lines = { out: [] as string[], error: [] as string[] };
  const code = await runCommandLine(
    args,
    { DATABASE_URL: database.url },
    { out: (text) => lines.out.push(text), error: (text) => lines.error.push(text) },
  );
  return { code, out: lines.out.join('\n'), error: lines.error.join('\n') };
}

async function relations(): Promise<unknown[]> {
  return postgres.query(
    `select n.nspname || '.' || c.relname as name, c.relkind::text as kind
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname in ('public', 'nestbox', 'made by sql') order by 1, 2`,
  );
}

describe('nestbox migrate', () => {
  it('says what is pending, and changes nothing in a dry run', async () => {
    const before = await relations();
    const status = await nestbox('migrate', 'status');
    expect(status.code).toBe(3);
    expect(status.out).toContain('kv on public.kv_store: version 0 of 1, pending: 001_entries.sql');
    const dry = await nestbox('migrate', 'run', '--dry-run');
    expect(dry.code).toBe(0);
    expect(dry.out.match(/001_nestbox\.sql/g)).toHaveLength(1);
    expect(dry.out).toContain('kv on public.kv_store: would apply 001_entries.sql');
    expect(await relations()).toEqual(before);
  });

  it('applies what is pending once', async () => {
    const first = await nestbox('migrate', 'run');
    expect(first).toMatchObject({ code: 0, error: '' });
    expect(first.out).toContain('kv on public.kv_store: applied 001_entries.sql');
    const second = await nestbox('migrate', 'run');
    expect(second.out.split('\n')).toEqual(
      [
        'postgres on nestbox',
        'kv on public.kv_store',
        'channels on serverless',
        'event-hub on serverless',
        'backplane on serverless.channels',
        'backplane on serverless.hub',
        'event-store on event_store',
        'workflows on workflows',
      ].map((what) => `${what}: up to date`),
    );
    expect(await nestbox('migrate', 'status')).toMatchObject({ code: 0 });
  });

  it('prints the SQL that psql would run, for any schema and table, without connecting', async () => {
    const printed = await nestbox(
      'migrate',
      'sql',
      '--url=postgres://127.0.0.1:1/nowhere',
      '--lib=kv',
      '--schema=made by sql',
      '--table=Select',
    );
    expect(printed.code).toBe(0);
    const other = await testDatabase();
    const target = new Postgres(other.url);
    try {
      await target.query(printed.out);
      const [row] = await target.query('select count(*)::int as entries from "made by sql"."Select"');
      expect(row).toEqual({ entries: 0 });
    } finally {
      await target.close();
      await other.drop();
    }
  });

  it('prints the SQL of all libs as one script', async () => {
    const printed = await nestbox('migrate', 'sql', '--url=postgres://127.0.0.1:1/nowhere');
    expect(printed.code).toBe(0);
    const other = await testDatabase();
    const target = new Postgres(other.url);
    try {
      await target.query(printed.out);
      expect(await nestbox('migrate', 'status', '--url', other.url)).toMatchObject({ code: 0 });
      const [row] = await target.query(
        'select (select count(*)::int from serverless.lambda_channels) as channels, (select count(*)::int from event_store.emt_streams) as streams',
      );
      expect(row).toEqual({ channels: 0, streams: 0 });
    } finally {
      await target.close();
      await other.drop();
    }
  });

  it('prints the SQL of the event store alone, for any schema', async () => {
    const args = ['--lib=event-store', '--schema=its own'];
    const printed = await nestbox('migrate', 'sql', '--url=postgres://127.0.0.1:1/nowhere', ...args);
    expect(printed.code).toBe(0);
    const other = await testDatabase();
    const target = new Postgres(other.url);
    try {
      await target.query(printed.out);
      expect(await nestbox('migrate', 'status', '--url', other.url, ...args)).toMatchObject({ code: 0 });
      const [row] = await target.query('select count(*)::int as messages from "its own".emt_messages');
      expect(row).toEqual({ messages: 0 });
    } finally {
      await target.close();
      await other.drop();
    }
  });

  it('prints the SQL of one more store for a database that has the foundation', async () => {
    const other = await testDatabase();
    const target = new Postgres(other.url);
    try {
      await target.query((await nestbox('migrate', 'sql', '--lib=kv')).out);
      const args = ['--lib=kv', '--table=another'];
      await target.query((await nestbox('migrate', 'sql', '--no-foundation', ...args)).out);
      await target.query((await nestbox('migrate', 'sql', '--no-foundation', '--lib=workflows')).out);
      expect(await nestbox('migrate', 'status', '--url', other.url, ...args)).toMatchObject({ code: 0 });
      const all = await nestbox('migrate', 'sql', '--no-foundation');
      expect(all.out).not.toContain('-- postgres: ');
    } finally {
      await target.close();
      await other.drop();
    }
  });

  it('prints JSON for programs', async () => {
    const { out } = await nestbox('migrate', 'status', '--json', '--lib', 'kv');
    expect(JSON.parse(out)).toMatchObject([{ lib: 'kv', target: 'public.kv_store', pending: [] }]);
  });

  it.each([
    [['migrate'], 'nestbox migrate needs run, sql or status, not nothing'],
    [['migrate', 'up'], 'not "up"'],
    [['frobnicate'], 'unknown command "frobnicate"'],
    [
      ['migrate', 'run', '--lib', 'nope'],
      'unknown lib "nope"; known are: postgres, kv, channels, event-hub, backplane, event-store',
    ],
    [['migrate', 'run', '--no-such-option'], '--no-such-option'],
    [['migrate', 'sql', '--dry-run'], '--dry-run goes with migrate run'],
    [['migrate', 'sql', '--no-foundation', '--lib=postgres'], 'leaves nothing of --lib postgres'],
  ])('refuses %j with one line and exit code 2', async (args, problem) => {
    const { code, error } = await nestbox(...args);
    expect(code).toBe(2);
    expect(error.split('\n')[0]).toContain(problem);
    expect(error.split('\n')).toHaveLength(2);
  });

  it('says in one line that a server cannot be reached', async () => {
    const { code, error } = await nestbox('migrate', 'status', '--url', 'postgres://127.0.0.1:1/nowhere');
    expect(code).toBe(1);
    expect(error).toMatch(/^nestbox: .*ECONNREFUSED.*$/);
  });

  it('prints its usage', async () => {
    expect((await nestbox('--help')).out).toContain('Usage: nestbox migrate');
  });
});
