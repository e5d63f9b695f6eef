import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import {
  MigrationChecksumError,
  MigrationFailedError,
  MigrationOrderError,
  MigrationRequiredError,
  MigrationTooNewError,
  Migrations,
  Postgres,
} from '@nestbox/postgres';
import { spawnFixture, testDatabase, type TestDatabase } from '@nestbox/testing';
import { SqlFolder } from './sql-folder.js';

const FILES = {
  '001_table.sql': `
    create table {{table}} (id integer primary key, note text);
    insert into {{table}} values (1, 'first');`,
  '002_column.sql': `alter table {{table}} add column added timestamptz;`,
  'demo_count.sql': `
    create or replace function {{table+_count}}() returns bigint language sql
    as $body$ select count(*) from {{table}} $body$;`,
};

describe('Migrations', () => {
  let database: TestDatabase;
  let postgres: Postgres;

  beforeEach(async () => {
    database = await testDatabase();
    postgres = new Postgres({ url: database.url, options: { max: 4 } });
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await postgres.close();
    await database.drop();
  });

  function migrations(folder: SqlFolder, release?: string, on = postgres): Migrations {
    const parameters = { table: 'demo' };
    return new Migrations(on, {
      lib: 'demo',
      target: 'public.demo',
      directory: folder.url,
      parameters,
      release,
    });
  }

  /** Everything that there is, in a text that can be compared. */
  async function everything(): Promise<string> {
    const rows = await postgres.query(`
      select 'schema' as kind, nspname::text as name from pg_namespace
      union all
      select 'relation', oid::regclass::text from pg_class
      union all
      select 'function', oid::regprocedure::text from pg_proc
      order by 1, 2`);
    return JSON.stringify(rows);
  }

  it('applies what is new, first the schema nestbox, then numbers in order, then functions', async () => {
    using folder = new SqlFolder(FILES);
    const report = await migrations(folder).run();
    const own = report.steps.filter((step) => step.lib === 'demo').map((step) => step.file);
    expect(own).toEqual(['001_table.sql', '002_column.sql', 'demo_count.sql']);
    expect(report.steps[0]).toMatchObject({ lib: 'postgres', target: 'nestbox', file: '001_nestbox.sql' });
    expect(report.steps.findLastIndex((step) => step.lib === 'postgres')).toBeLessThan(
      report.steps.length - 3,
    );

    expect(await postgres.query('select demo_count()::text as count')).toEqual([{ count: '1' }]);
    expect((await migrations(folder).run()).steps).toEqual([]);

    folder.write('003_more.sql', `insert into {{table}} values (2);`);
    expect((await migrations(folder).run()).steps).toMatchObject([
      { file: '003_more.sql', version: 3, sql: 'insert into "demo" values (2);' },
    ]);
    expect(await migrations(folder).status()).toMatchObject({ version: 3, latestVersion: 3, pending: [] });
  });

  it('lets forty instances in four processes start at once against an empty database', async () => {
    using folder = new SqlFolder(FILES);
    const fixtures = await Promise.all(
      [1, 2, 3, 4].map(() =>
        spawnFixture(new URL('./fixtures/migrate.mjs', import.meta.url), {
          args: [database.url, folder.url.href, '10'],
        }),
      ),
    );
    await Promise.all(fixtures.map((fixture) => fixture.waitFor('ready')));
    for (const fixture of fixtures) fixture.send('go');
    const messages = await Promise.all(
      fixtures.map((fixture) => fixture.waitFor<{ type: string; outcomes: unknown[] }>('outcomes', 20_000)),
    );
    const outcomes = messages.flatMap((message) => message.outcomes);
    expect(outcomes).toHaveLength(40);
    const workers = outcomes.filter((outcome) => JSON.stringify(outcome) !== '[]');
    expect(workers).toHaveLength(1);
    expect(workers[0]).toContain('demo/001_table.sql');
    expect(await postgres.query('select note from demo')).toEqual([{ note: 'first' }]);
    await Promise.all(fixtures.map((fixture) => fixture.exited));
  });

  it('refuses a migration that was edited after it had been applied, and says what to do', async () => {
    using folder = new SqlFolder(FILES);
    await migrations(folder).run();
    folder.write('001_table.sql', `${FILES['001_table.sql']} -- changed`);
    folder.write('003_more.sql', `insert into {{table}} values (2);`);
    const error: unknown = await migrations(folder)
      .run()
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MigrationChecksumError);
    expect(error).toMatchObject({ file: '001_table.sql', lib: 'demo', target: 'public.demo' });
    expect((error as Error).message).toContain('001_table.sql');
    expect((error as Error).message).toContain('new file with the next number');
    await expect(migrations(folder).check()).rejects.toBeInstanceOf(MigrationChecksumError);
    expect(await postgres.query('select id from demo')).toEqual([{ id: 1 }]);
  });

  it('takes the line ends of Windows for the same text', async () => {
    using folder = new SqlFolder(FILES);
    await migrations(folder).run();
    folder.write('001_table.sql', FILES['001_table.sql'].replaceAll('\n', '\r\n'));
    expect((await migrations(folder).run()).steps).toEqual([]);
  });

  it('refuses a migration that turned up below one that was applied', async () => {
    using folder = new SqlFolder(FILES);
    folder.remove('001_table.sql');
    folder.write('002_column.sql', 'create table {{table}} (id integer)');
    await migrations(folder).run();
    folder.write('001_table.sql', FILES['001_table.sql']);
    await expect(migrations(folder).run()).rejects.toBeInstanceOf(MigrationOrderError);
  });

  it('changes nothing in a dry run, and reports the statements', async () => {
    using folder = new SqlFolder(FILES);
    const before = await everything();
    const report = await migrations(folder).run({ dryRun: true });
    expect(await everything()).toBe(before);
    expect(report.dryRun).toBe(true);
    expect(report.steps.at(-1)!.sql).toContain('function "demo_count"() returns bigint');

    const done = await migrations(folder).run();
    expect(done.steps).toEqual(report.steps);
    const after = await everything();
    expect(await migrations(folder).run({ dryRun: true })).toMatchObject({ steps: [], dryRun: true });
    expect(await everything()).toBe(after);
  });

  it('leaves nothing behind when a migration fails, and works once it is mended', async () => {
    using folder = new SqlFolder({ ...FILES, '003_wrong.sql': 'create table nowhere.at_all ()' });
    const before = await everything();
    const error: unknown = await migrations(folder)
      .run()
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MigrationFailedError);
    expect((error as Error).message).toBe(
      '003_wrong.sql of demo failed on public.demo, and nothing was changed: schema "nowhere" does not exist',
    );
    expect(await everything()).toBe(before);
    folder.write('003_wrong.sql', 'create table {{table+_2}} ()');
    expect((await migrations(folder).run()).steps.at(-2)).toMatchObject({ file: '003_wrong.sql' });
  });

  it('keeps several targets of one lib apart', async () => {
    using folder = new SqlFolder(FILES);
    for (const table of ['one', 'two']) {
      const options = {
        lib: 'demo',
        target: `public.${table}`,
        directory: folder.url,
        parameters: { table },
      };
      expect((await new Migrations(postgres, options).run()).steps.slice(-3)).toMatchObject([
        { target: `public.${table}`, version: 1 },
        { target: `public.${table}`, version: 2 },
        { target: `public.${table}`, version: null },
      ]);
    }
    expect(await postgres.query('select one_count()::text as one, two_count()::text as two')).toEqual([
      { one: '1', two: '1' },
    ]);
  });

  it('says which command to run when it may only check', async () => {
    using folder = new SqlFolder(FILES);
    const error: unknown = await migrations(folder)
      .check()
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MigrationRequiredError);
    expect(error).toMatchObject({ command: 'nestbox migrate run --lib demo' });
    await migrations(folder).run();
    await migrations(folder).check();
    folder.write('demo_count.sql', `${FILES['demo_count.sql']} -- changed`);
    await expect(migrations(folder).check()).rejects.toThrow(
      'public.demo lacks demo_count.sql, which demo needs. Apply them: nestbox migrate run --lib demo',
    );
  });

  it('names in it what the command has to be told to find the target', async () => {
    using folder = new SqlFolder(FILES);
    const options = {
      lib: 'demo',
      target: 'public.demo',
      directory: folder.url,
      parameters: { table: 'demo' },
    };
    const flags = { schema: 'public', table: "it's" };
    await expect(new Migrations(postgres, { ...options, flags }).check()).rejects.toMatchObject({
      command: String.raw`nestbox migrate run --lib demo --schema public --table 'it'\''s'`,
    });
  });

  it('prints a script that does the same', async () => {
    using folder = new SqlFolder(FILES);
    const script = await migrations(folder).sql();
    const psql = new Postgres({ url: database.url, options: { max: 1 } });
    await psql.query(script);
    await psql.close();
    await migrations(folder).check();
    expect(await postgres.query('select demo_count()::text as count')).toEqual([{ count: '1' }]);
    expect(await migrations(folder).sql({ foundation: false })).not.toContain('create table nestbox.');
  });

  it('needs nothing but reading when there is nothing to do', async () => {
    using folder = new SqlFolder(FILES);
    await migrations(folder).run();
    const role = `reader_${database.name}`;
    await postgres.query(`
      revoke all on schema public from public;
      create role ${role} login;
      grant usage on schema nestbox, public to ${role};
      grant select on nestbox.migrations to ${role}`);
    const url = new URL(database.url);
    url.username = role;
    const reader = new Postgres({ url: url.href, options: { max: 1 } });
    try {
      expect((await migrations(folder, undefined, reader).run()).steps).toEqual([]);
      await migrations(folder, undefined, reader).check();
    } finally {
      await reader.close();
      await postgres.query(`drop owned by ${role}; drop role ${role}`);
    }
  });

  it('works where transactions see the past by default', async () => {
    using folder = new SqlFolder(FILES);
    await postgres.query(
      `alter database ${database.name} set default_transaction_isolation = 'serializable'`,
    );
    const others = [1, 2, 3].map(() => new Postgres({ url: database.url, options: { max: 1 } }));
    try {
      const reports = await Promise.all(others.map((other) => migrations(folder, undefined, other).run()));
      expect(reports.filter((report) => report.steps.length > 0)).toHaveLength(1);
    } finally {
      await Promise.all(others.map((other) => other.close()));
    }
  });

  it('does not take part in a transaction of its caller', async () => {
    using folder = new SqlFolder(FILES);
    const rolledBack = postgres.transaction(async () => {
      await migrations(folder).run();
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    await migrations(folder).check();
  });

  describe('while two releases are deployed', () => {
    it('lets the newer one replace functions, and the older one leave them alone', async () => {
      const log = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
      using older = new SqlFolder(FILES);
      using newer = new SqlFolder({
        ...FILES,
        'demo_count.sql': FILES['demo_count.sql'].replace('count(*)', 'count(*) + 100'),
      });
      await migrations(older, '1.9.0').run();
      expect((await migrations(newer, '1.10.0').run()).steps).toMatchObject([{ file: 'demo_count.sql' }]);

      const old = migrations(older, '1.9.0');
      expect(await old.run()).toMatchObject({ steps: [], newerRelease: '1.10.0' });
      expect(await old.run()).toMatchObject({ steps: [] });
      await old.check();
      expect(log).toHaveBeenCalledTimes(1);
      expect(await postgres.query('select demo_count()::text as count')).toEqual([{ count: '101' }]);
    });

    it('goes on with a database that has migrations which this release does not know', async () => {
      jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
      using older = new SqlFolder(FILES);
      using newer = new SqlFolder({ ...FILES, '003_more.sql': 'alter table {{table}} add column more text' });
      await migrations(newer).run();
      expect(await migrations(older).status()).toMatchObject({ version: 3, latestVersion: 2, pending: [] });
      expect((await migrations(older).run()).steps).toEqual([]);
    });

    it('stops when the newer release has marked a migration as breaking', async () => {
      using older = new SqlFolder(FILES);
      using newer = new SqlFolder({
        ...FILES,
        '003_rename.sql': '-- nestbox: breaking\nalter table {{table}} rename note to remark',
      });
      await migrations(newer, '2.0.0').run();
      const error: unknown = await migrations(older, '1.9.0')
        .run()
        .catch((e: unknown) => e);
      expect(error).toBeInstanceOf(MigrationTooNewError);
      expect((error as Error).message).toContain('Upgrade to 2.0.0 or later');
      await expect(migrations(older, '1.9.0').check()).rejects.toBeInstanceOf(MigrationTooNewError);
    });
  });
});
