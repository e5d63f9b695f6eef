import { jest } from '@jest/globals';
import { KeyValueStore, PostgresAdapter, kvMigrations } from '@nestbox/kv';
import { Migrations, Postgres, type TransactionalQueryable } from '@nestbox/postgres';
import { type TestDatabase, testDatabase } from '@nestbox/testing';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import type { MigrationInterface as PreviousInterface } from 'typeorm03';
import { SqlFolder } from '../../postgres/test/sql-folder.js';
import { readCatalogue } from '../../../test/support/catalogue.js';
import { NestboxMigration } from '../src/migrations/nestbox.migration.js';
import { revertMigration, runMigrations } from '../src/migrations/run-migrations.js';
import { TYPEORMS } from './support/data-sources.js';
import {
  CreateEventHub1763700000004,
  CreateKv1763700000002,
  MIGRATIONS,
} from './support/nestbox-migrations.js';
import { OF_TYPEORM, type Mode, withMigrations } from './support/with-migrations.js';

const MODES: readonly Mode[] = ['all', 'each', 'none'];
const CASES = TYPEORMS.flatMap((typeorm) =>
  MODES.map((mode) => ({ name: `${typeorm[0]}, mode ${mode}`, typeorm, mode })),
);

/** Each makes all schemas, some of them several times. */
jest.setTimeout(120_000);

let database: TestDatabase;
let postgres: Postgres;

beforeEach(async () => {
  database = await testDatabase();
  postgres = new Postgres({ url: database.url, options: { max: 2 } });
});
afterEach(async () => {
  await postgres.close();
  await database.drop();
});

const catalogue = (): ReturnType<typeof readCatalogue> =>
  readCatalogue(database.url, { without: OF_TYPEORM, contents: true });

/** What the libraries themselves make, in the order of the classes. */
async function runAll(): Promise<void> {
  for (const Class of MIGRATIONS) await new Class().schema(postgres).run();
}

describe.each(CASES)('NestboxMigration in $name', ({ typeorm, mode }) => {
  it('makes what the libraries make, removes it, and makes it again', async () => {
    const empty = await catalogue();
    await runAll();
    const expected = await catalogue();
    await database.drop();
    await postgres.close();
    database = await testDatabase();
    postgres = new Postgres({ url: database.url, options: { max: 2 } });

    await withMigrations(
      typeorm,
      database.url,
      MIGRATIONS,
      async (source) => {
        expect(await runMigrations(source)).toHaveLength(MIGRATIONS.length);
        expect(await catalogue()).toEqual(expected);
        for (const Class of MIGRATIONS) await new Class().schema(postgres).check();
        for (let i = 0; i < MIGRATIONS.length; i++) await revertMigration(source);
        expect(await catalogue()).toEqual(empty);
        await runMigrations(source);
        expect(await catalogue()).toEqual(expected);
      },
      mode,
    );
  });

  it('finds the work done by whoever came first', async () => {
    await runAll();
    const before = await catalogue();
    await withMigrations(
      typeorm,
      database.url,
      MIGRATIONS,
      async (source) => {
        expect(await runMigrations(source)).toHaveLength(MIGRATIONS.length);
        expect(await catalogue()).toEqual(before);
        expect(await runMigrations(source)).toEqual([]);
      },
      mode,
    );
  });

  it('leaves nothing half done when a migration fails in the middle', async () => {
    class Fails1763700000099 {
      async up(runner: QueryRunner): Promise<void> {
        await runner.query('create table half_done ()');
        // It needs the channels, which nobody has made.
        await new CreateEventHub1763700000004().up(runner);
      }
      async down(): Promise<void> {
        throw new Error('it was never applied');
      }
    }
    const [first] = MIGRATIONS;
    await withMigrations(
      typeorm,
      database.url,
      [first, CreateKv1763700000002, Fails1763700000099],
      async (source) => {
        const empty = await catalogue();
        await expect(runMigrations(source)).rejects.toThrow(
          '001_subscriptions.sql of event-hub failed on serverless, and nothing was changed: schema "serverless"',
        );
        const after = await catalogue();
        const names = Object.keys(after);
        expect(names.filter((name) => name.includes('lambda'))).toEqual([]);
        // Without a transaction around, what the application's own statement did stays; so it is in TypeORM.
        expect(names.includes('relation public.half_done')).toBe(mode === 'none');
        if (mode === 'all') expect(after).toEqual(empty);
        else await new CreateKv1763700000002().schema(postgres).check();
      },
      mode,
    );
  });
});

it('is a migration to the types of both', () => {
  const migration: MigrationInterface & PreviousInterface = new CreateKv1763700000002();
  expect(migration.name).toBeUndefined();
});

describe.each(TYPEORMS)('NestboxMigration, %s', (...typeorm) => {
  it('leaves other users of the same schema alone', async () => {
    class CreateOther1763700000010 extends CreateKv1763700000002 {
      override schema(on: TransactionalQueryable): Migrations {
        return kvMigrations(on, { tableName: 'other_kv' });
      }
    }
    await postgres.query('create table app_kv_notes (id integer); create table serverless (id integer)');
    await withMigrations(typeorm, database.url, [CreateKv1763700000002], async (source) => {
      await runMigrations(source);
    });
    const before = await catalogue();
    const store = new KeyValueStore({
      adapter: new PostgresAdapter({ connectionString: database.url, tableName: 'app_kv' }),
    });
    await store.set('key', 'value');
    await withMigrations(typeorm, database.url, [CreateOther1763700000010], async (source) => {
      await runMigrations(source);
      await revertMigration(source);
    });
    expect(await store.get('key')).toBe('value');
    await store.delete('key');
    await store.close();
    expect(Object.keys(await catalogue())).toEqual(Object.keys(before));
  });

  it('keeps the schema nestbox while others build on it', async () => {
    const [CreateNestbox] = MIGRATIONS;
    await withMigrations(typeorm, database.url, [CreateKv1763700000002, CreateNestbox], async (source) => {
      await runMigrations(source);
      const runner = source.createQueryRunner();
      await expect(new CreateNestbox().down(runner)).rejects.toThrow(
        'postgres on nestbox cannot be taken back. Others build on it; take these back first: kv on public.app_kv.',
      );
      await runner.release();
    });
    await new CreateKv1763700000002().schema(postgres).check();
  });

  it('keeps the channels while there are subscriptions to them', async () => {
    await runAll();
    const before = await catalogue();
    await withMigrations(typeorm, database.url, [], async (source) => {
      const runner = source.createQueryRunner();
      await expect(new MIGRATIONS[2]().down(runner)).rejects.toThrow(
        'the subscriptions of the event hub in schema "serverless" refer to these channels',
      );
      await runner.release();
    });
    expect(await catalogue()).toEqual(before);
  });

  it('leaves the timeouts of the transaction around as they were', async () => {
    class ShowsTimeouts1763700000098 {
      async up(runner: QueryRunner): Promise<void> {
        const [row] = (await runner.query(
          `select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock`,
        )) as object[];
        expect(row).toEqual({ statement: '1min', lock: '30s' });
      }
      async down(): Promise<void> {
        throw new Error('there is nothing to take back');
      }
    }
    await postgres.query(`
      alter database ${database.name} set statement_timeout = '1min';
      alter database ${database.name} set lock_timeout = '30s'`);
    await withMigrations(
      typeorm,
      database.url,
      [CreateKv1763700000002, ShowsTimeouts1763700000098],
      async (source) => expect(await runMigrations(source)).toHaveLength(2),
    );
  });

  it('refuses versions that make no sense, or that the installed release does not know', async () => {
    const toVersion = (from: number, to: number): NestboxMigration =>
      Object.assign(new CreateKv1763700000002(), { from, to });
    await withMigrations(typeorm, database.url, [], async (source) => {
      const before = await catalogue();
      const runner = source.createQueryRunner();
      await expect(toVersion(2, 1).up(runner)).rejects.toThrow('needs whole numbers with 0 <= from <= to');
      await expect(toVersion(-1, 1).down(runner)).rejects.toThrow('got from -1 to 1');
      await expect(toVersion(1, 99).up(runner)).rejects.toThrow(
        /must be a version from 1 to 1, the last one of kv /,
      );
      expect(await catalogue()).toEqual(before);
      await runner.release();
    });
  });

  it('runs at the same time as other runners and as starting modules', async () => {
    const stores = [1, 2, 3].map(
      () =>
        new KeyValueStore({
          adapter: new PostgresAdapter({ connectionString: database.url, tableName: 'app_kv' }),
        }),
    );
    const runs = [1, 2, 3].map(() =>
      withMigrations(typeorm, database.url, MIGRATIONS, (source) => runMigrations(source)),
    );
    const starts = stores.map((store, i) => store.set(`key ${i}`, i));
    const [ran] = await Promise.all([Promise.all(runs), Promise.all(starts)]);
    expect(ran.map((names) => names.length).toSorted((a, b) => b - a)).toEqual([MIGRATIONS.length, 0, 0]);
    expect(await stores[0]!.getAll()).toEqual({ 'key 0': 0, 'key 1': 1, 'key 2': 2 });
    for (const store of stores) await store.close();
    for (const Class of MIGRATIONS) await new Class().schema(postgres).check();
  });

  it('refuses a pool in which nothing is left while the lock is held', async () => {
    const source = new typeorm[1].DataSource({ type: 'postgres', url: database.url, extra: { max: 1 } });
    await source.initialize();
    await expect(runMigrations(source)).rejects.toThrow('has a pool of one connection; give it two');
    await source.destroy();
  });

  it('follows a library to its next version and back, with the rows', async () => {
    using folder = new SqlFolder({
      '001_notes.sql': `create table public.notes (id integer primary key, note text);`,
      '002_length.sql': `alter table public.notes add column length integer generated always as (length(note)) stored;`,
      'notes_total.sql': `create or replace function public.notes_total() returns bigint language sql
        as $body$ select sum(length) from public.notes $body$;`,
      'down/001_notes.sql': `drop function if exists public.notes_total; drop table public.notes;`,
      'down/002_length.sql': `drop function public.notes_total; alter table public.notes drop column length;`,
    });
    class CreateNotes1763700000021 extends NestboxMigration {
      readonly from: number = 0;
      readonly to: number = 1;
      schema(on: TransactionalQueryable): Migrations {
        return new Migrations(on, { lib: 'notes', target: 'public.notes', directory: folder.url });
      }
    }
    class LengthOfNotes1763700000022 extends CreateNotes1763700000021 {
      override readonly from = 1;
      override readonly to = 2;
    }
    const schema = new CreateNotes1763700000021().schema(postgres);
    await withMigrations(typeorm, database.url, [CreateNotes1763700000021], async (source) => {
      await runMigrations(source);
    });
    // The application has installed the newer release, and has no class for it yet.
    await expect(schema.check()).rejects.toThrow(
      'public.notes lacks 002_length.sql, notes_total.sql, which notes needs. Apply them: nestbox migrate run ' +
        '--lib notes (or, where TypeORM runs the migrations, with a new NestboxMigration to version 2)',
    );
    await postgres.query(`insert into notes (id, note) values (1, 'one'), (2, 'two')`);
    const older = await catalogue();
    const both = [CreateNotes1763700000021, LengthOfNotes1763700000022];
    await withMigrations(typeorm, database.url, both, async (source) => {
      expect(await runMigrations(source)).toEqual(['LengthOfNotes1763700000022']);
      await schema.check();
      expect(await postgres.query('select notes_total()::int as n')).toEqual([{ n: 6 }]);
      await revertMigration(source);
      const back = Object.entries(await catalogue()).map(([name, text]) => [
        name,
        text.replace(/\n.*dropped.*/, ''),
      ]);
      expect(Object.fromEntries(back)).toEqual(older);
      expect(await postgres.query('select * from notes order by id')).toEqual([
        { id: 1, note: 'one' },
        { id: 2, note: 'two' },
      ]);
      await runMigrations(source);
      await schema.check();
    });
  });
});
