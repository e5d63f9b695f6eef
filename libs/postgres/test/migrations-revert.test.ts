import { InvalidArgumentError } from '@nestbox/core';
import { MigrationFailedError, MigrationRevertError, Migrations, Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { SqlFolder } from './sql-folder.js';

const TABLE = `
  select nestbox.ensure_schema({{schema:literal}});
  create table {{schema}}.notes (id integer primary key, note text);`;
const NO_TABLE = `
  drop function {{schema}}.notes_count;
  drop table {{schema}}.notes;
  select nestbox.drop_empty_schema({{schema:literal}});`;
const COUNT = `
  create or replace function {{schema}}.notes_count() returns bigint language sql
  as $body$ select count(*) from {{schema}}.notes $body$;`;
const COUNT_LIVE = `
  create or replace function {{schema}}.notes_count() returns bigint language sql
  as $body$ select count(*) from {{schema}}.notes where not is_deleted $body$;`;
const BURY = `
  create or replace function {{schema}}.notes_bury(which integer) returns void language sql
  as $body$ update {{schema}}.notes set is_deleted = true where id = which $body$;`;

const FIRST = { '001_notes.sql': TABLE, 'notes_count.sql': COUNT, 'down/001_notes.sql': NO_TABLE };
const SECOND = {
  ...FIRST,
  '002_deleted.sql': `alter table {{schema}}.notes add column is_deleted boolean not null default false;`,
  'notes_bury.sql': BURY,
  'notes_count.sql': COUNT_LIVE,
  'down/002_deleted.sql': `
    drop function {{schema}}.notes_bury;
    delete from {{schema}}.notes where is_deleted;
    alter table {{schema}}.notes drop column is_deleted;`,
  'down/002_deleted/notes_count.sql': COUNT,
};

describe('Migrations.revert', () => {
  let database: TestDatabase;
  let postgres: Postgres;

  beforeEach(async () => {
    database = await testDatabase();
    postgres = new Postgres({ url: database.url, options: { max: 4 } });
  });

  afterEach(async () => {
    await postgres.close();
    await database.drop();
  });

  function migrations(folder: SqlFolder, release: string, schema = 'notebook'): Migrations {
    const options = { lib: 'notes', target: schema, directory: folder.url, parameters: { schema }, release };
    return new Migrations(postgres, options);
  }

  async function everything(): Promise<string> {
    const rows = await postgres.query(`
      select 'schema' as kind, nspname::text as name, null as text from pg_namespace
      union all
      select 'relation', oid::regclass::text, null from pg_class
      union all
      select 'column', attrelid::regclass || '.' || attname, null from pg_attribute where not attisdropped
      union all
      select 'function', oid::regprocedure::text, prosrc from pg_proc
      order by 1, 2`);
    return JSON.stringify(rows);
  }

  async function records(): Promise<unknown> {
    return await postgres.query(
      'select name, version, release, checksum from nestbox.migrations where lib = $1 order by name',
      ['notes'],
    );
  }

  it('removes everything, and the record, and may be done again', async () => {
    using folder = new SqlFolder(FIRST);
    await Migrations.ofFoundation(postgres).run();
    const before = await everything();
    await migrations(folder, '1.0.0').run();
    const report = await migrations(folder, '1.0.0').revert({ to: 0 });
    expect(report.steps).toMatchObject([{ lib: 'notes', file: 'down/001_notes.sql', version: 1 }]);
    expect(await everything()).toBe(before);
    expect(await records()).toEqual([]);
    expect((await migrations(folder, '1.0.0').revert({ to: 0 })).steps).toEqual([]);
    await migrations(folder, '1.0.0').run();
    await migrations(folder, '1.0.0').check();
  });

  it('returns to the version before, with its functions and rows, as the older release left it', async () => {
    using older = new SqlFolder(FIRST);
    using newer = new SqlFolder(SECOND);
    await migrations(older, '1.0.0').run();
    await postgres.query(`insert into notebook.notes values (1, 'one'), (2, 'two')`);
    const [before, recorded] = [await everything(), await records()];

    await migrations(newer, '1.1.0').run();
    const after = await everything();
    await postgres.query('select notebook.notes_bury(2)');
    expect(await postgres.query('select notebook.notes_count()::int as n')).toEqual([{ n: 1 }]);

    const report = await migrations(newer, '1.1.0').revert({ to: 1 });
    expect(report.steps.map(({ file }) => file)).toEqual(['down/002_deleted.sql', 'notes_count.sql']);
    expect(await everything()).toBe(before);
    expect(await records()).toEqual(recorded);
    expect(await postgres.query('select * from notebook.notes')).toEqual([{ id: 1, note: 'one' }]);
    await migrations(older, '1.0.0').check();
    expect(await migrations(older, '1.0.0').status()).toMatchObject({ pending: [], newerRelease: undefined });

    expect((await migrations(newer, '1.1.0').status()).pending).toEqual([
      '002_deleted.sql',
      'notes_bury.sql',
      'notes_count.sql',
    ]);
    await migrations(newer, '1.1.0').run();
    expect(await everything()).toBe(after);
    expect((await migrations(newer, '1.1.0').revert({ to: 0 })).steps).toHaveLength(3);
    expect(await records()).toEqual([]);
  });

  it('goes up one by one, and applies the functions with the last', async () => {
    using folder = new SqlFolder(SECOND);
    const first = await migrations(folder, '1.1.0').run({ to: 1 });
    expect(first.steps.filter(({ lib }) => lib === 'notes').map(({ file }) => file)).toEqual([
      '001_notes.sql',
    ]);
    await expect(migrations(folder, '1.1.0').check()).rejects.toThrow(
      'Apply them: nestbox migrate run --lib notes (or, where TypeORM runs the migrations, with a new ' +
        'NestboxMigration to version 2)',
    );
    const second = await migrations(folder, '1.1.0').run({ to: 2 });
    expect(second.steps.map(({ file }) => file)).toEqual([
      '002_deleted.sql',
      'notes_bury.sql',
      'notes_count.sql',
    ]);
    expect((await migrations(folder, '1.1.0').run({ to: 1 })).steps).toEqual([]);
    await migrations(folder, '1.1.0').check();
  });

  it('changes nothing in a dry run, and reports the statements', async () => {
    using folder = new SqlFolder(FIRST);
    await migrations(folder, '1.0.0').run();
    const before = await everything();
    const report = await migrations(folder, '1.0.0').revert({ to: 0, dryRun: true });
    expect(report.steps[0]!.sql).toContain('drop table "notebook".notes');
    expect(await everything()).toBe(before);
  });

  it('keeps a schema that holds something else, that somebody else made, or that got another comment', async () => {
    using folder = new SqlFolder(FIRST);
    await postgres.query('create schema made_before');
    for (const schema of ['made_before', 'shared', 'described', 'plain']) {
      await migrations(folder, '1.0.0', schema).run();
    }
    await postgres.query(`
      create table shared.of_the_application ();
      comment on schema described is 'Ours.'`);
    for (const schema of ['made_before', 'shared', 'described', 'plain']) {
      await migrations(folder, '1.0.0', schema).revert({ to: 0 });
    }
    expect(
      await postgres.query(
        `select nspname::text as name from pg_namespace
          where nspname = any ('{made_before,shared,described,plain}') order by 1`,
      ),
    ).toEqual([{ name: 'described' }, { name: 'made_before' }, { name: 'shared' }]);
    expect(await postgres.query('select * from shared.of_the_application')).toEqual([]);
  });

  it('leaves everything as it was when a statement fails', async () => {
    using folder = new SqlFolder(SECOND);
    await migrations(folder, '1.0.0').run();
    await postgres.query('create view public.of_the_application as select id from notebook.notes');
    const [before, recorded] = [await everything(), await records()];
    const error: unknown = await migrations(folder, '1.0.0')
      .revert({ to: 0 })
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MigrationFailedError);
    expect((error as Error).message).toMatch(/^down\/001_notes\.sql of notes failed on notebook, .* depend/s);
    expect(await everything()).toBe(before);
    expect(await records()).toEqual(recorded);
  });

  it('removes the schema nestbox last, and says what is to be taken back before', async () => {
    using folder = new SqlFolder(FIRST);
    const before = await everything();
    await migrations(folder, '1.0.0').run();
    await migrations(folder, '1.0.0', 'second').run();
    const foundation = Migrations.ofFoundation(postgres);
    const error: unknown = await foundation.revert({ to: 0 }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MigrationRevertError);
    expect((error as Error).message).toBe(
      'postgres on nestbox cannot be taken back. Others build on it; take these back first: ' +
        'notes on notebook, notes on second.',
    );
    await migrations(folder, '1.0.0').revert({ to: 0 });
    await migrations(folder, '1.0.0', 'second').revert({ to: 0 });
    await foundation.revert({ to: 0 });
    expect(await everything()).toBe(before);
    expect((await foundation.revert({ to: 0 })).steps).toEqual([]);
  });

  it('is refused to a release that does not know what a newer one has brought', async () => {
    using older = new SqlFolder(FIRST);
    using newer = new SqlFolder({ ...FIRST, 'notes_bury.sql': COUNT.replace('notes_count', 'notes_bury') });
    await migrations(newer, '1.1.0').run();
    await expect(migrations(older, '1.0.0').revert({ to: 0 })).rejects.toThrow(
      'notes on notebook cannot be taken back. Release 1.1.0 was here: use it, or a later one, for that.',
    );
  });

  it('needs a file for each migration, under its name', async () => {
    using folder = new SqlFolder({ '001_notes.sql': TABLE });
    await migrations(folder, '1.0.0').run();
    await expect(migrations(folder, '1.0.0').revert({ to: 0 })).rejects.toThrow(
      'There is no down/001_notes.sql, which would take 001_notes.sql back.',
    );
    folder.write('down/001_other.sql', NO_TABLE);
    await expect(migrations(folder, '1.0.0').revert({ to: 0 })).rejects.toThrow(
      'down/001_other.sql must be named as the migration it takes back.',
    );
  });

  it.each([-1, 3, 1.5, Number.NaN])('refuses version %s', async (to) => {
    using folder = new SqlFolder(SECOND);
    await expect(migrations(folder, '1.1.0').revert({ to })).rejects.toThrow(InvalidArgumentError);
    await expect(migrations(folder, '1.1.0').run({ to })).rejects.toThrow(
      `must be a version from 1 to 2, the last one of notes 1.1.0; got ${to}.`,
    );
  });

  it('lets ten of them and ten starts run at once', async () => {
    using folder = new SqlFolder(FIRST);
    await migrations(folder, '1.0.0').run();
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, async (_, i) =>
        i % 2 === 0 ? migrations(folder, '1.0.0').run() : migrations(folder, '1.0.0').revert({ to: 0 }),
      ),
    );
    expect(outcomes.some(({ steps }) => steps.length > 0)).toBe(true);
    await migrations(folder, '1.0.0').run();
    expect(await postgres.query('select notebook.notes_count()::int as n')).toEqual([{ n: 0 }]);
  });
});
