import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { Migrations, Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { readCatalogue } from './support/catalogue.js';
import {
  RELEASES,
  SCHEMAS,
  type Schema,
  currentFolder,
  freeze,
  frozenFolder,
  migrationsFrom,
  restore,
  sqlFiles,
} from './support/frozen-schemas.js';
import { expectRows, writeRows } from './support/schema-rows.js';

/*
 * The schemas of each release are kept in test/fixtures/schemas, with rows that it has written. When the version of the
 * libraries changes, a test below asks for those of the new one; `FREEZE_SCHEMAS=1 npm test -- migrations-upgrade`
 * makes them.
 */

const manifest = readFileSync(join(import.meta.dirname, '..', 'libs', 'postgres', 'package.json'), 'utf8');
const CURRENT = (JSON.parse(manifest) as { version: string }).version;
/** One that comes after all that there are. */
const NEXT = '999.0.0';

/** Each makes all schemas, some of them several times. */
jest.setTimeout(120_000);

let database: TestDatabase;
let postgres: Postgres;

beforeEach(async () => {
  // An older release says that it leaves the database alone, a worker that it stops in the middle of a run.
  for (const level of ['log', 'warn'] as const) {
    jest.spyOn(Logger.prototype, level).mockImplementation(() => undefined);
  }
  database = await testDatabase();
  postgres = new Postgres({ url: database.url, options: { max: 2 } });
});
afterEach(async () => {
  jest.restoreAllMocks();
  await postgres.close();
  await database.drop();
});

const current = (schema: Schema): Migrations =>
  migrationsFrom(postgres, schema, currentFolder(schema), CURRENT);

async function upgrade(): Promise<void> {
  for (const schema of SCHEMAS) await current(schema).run();
}

if (process.env['FREEZE_SCHEMAS'] === '1') {
  it('keeps the schemas of this release', async () => {
    await upgrade();
    await using _writers = await writeRows(database.url);
    await freeze(postgres, CURRENT);
    expect(readdirSync(frozenFolder(CURRENT, SCHEMAS[0]!))).not.toEqual([]);
  });
}

it('has the schemas of the release that the libraries say they are', () => {
  expect(RELEASES).toContain(CURRENT);
});

it('reads what it has written itself', async () => {
  await upgrade();
  await (await writeRows(database.url))[Symbol.asyncDispose]();
  await expectRows(database.url);
});

describe.each(RELEASES)('from release %s', (release) => {
  it.each(SCHEMAS)('no numbered file of $lib was changed or removed', (schema) => {
    const now = sqlFiles(currentFolder(schema));
    const frozen = [...sqlFiles(frozenFolder(release, schema))].filter(([name]) => /^\d/.test(name));
    expect(frozen.length).toBeGreaterThan(0);
    for (const [name, text] of frozen) expect({ name, text: now.get(name) }).toEqual({ name, text });
  });

  it('this one goes on with all rows', async () => {
    await restore(postgres, release);
    await upgrade();
    for (const schema of SCHEMAS) await current(schema).check();
    await expectRows(database.url);
  });

  it('this one makes of it what it makes of an empty database', async () => {
    await restore(postgres, release);
    await upgrade();
    // The documents of the rows have tables of their own.
    const without =
      /(^|\.)emt_c_carts|^event_store\.carts|^(kv|backplane|channels|event-hub|event-store|postgres|workflows) /;
    const upgraded = await readCatalogue(database.url, { without });
    const other = await testDatabase();
    try {
      const fresh = new Postgres({ url: other.url, options: { max: 1 } });
      for (const schema of SCHEMAS) await migrationsFrom(fresh, schema, currentFolder(schema), CURRENT).run();
      await fresh.close();
      expect(upgraded).toEqual(await readCatalogue(other.url, { without }));
    } finally {
      await other.drop();
    }
  });

  it('can be taken back altogether', async () => {
    const empty = await readCatalogue(database.url);
    await restore(postgres, release);
    await upgrade();
    for (const schema of SCHEMAS.toReversed()) await current(schema).revert({ to: 0 });
    expect(await readCatalogue(database.url)).toEqual(empty);
  });
});

describe('the next release', () => {
  let folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
    folders = [];
  });

  /** A schema's files as a later release might have them: each function changed, and another migration. */
  function nextFolder(schema: Schema): string {
    const folder = mkdtempSync(join(tmpdir(), 'nestbox-next-'));
    folders.push(folder);
    cpSync(currentFolder(schema), folder, { recursive: true });
    const functions = [...sqlFiles(folder)].filter(([name]) => !/^\d/.test(name));
    const numbers = [...sqlFiles(folder).keys()].map((name) => Number(/^\d+/.exec(name)?.[0] ?? 0));
    const name = `${String(Math.max(...numbers) + 1).padStart(3, '0')}_next.sql`;
    const comment = schema.parameters['schema'] === undefined ? 'nestbox' : '{{schema}}';
    const mark = `${schema.lib.replace('-', '_')}_${schema.parameters['name'] ?? 'next'}`;
    writeFileSync(join(folder, name), `create table ${comment}.next_${mark} (id integer);`);
    writeFileSync(join(folder, 'down', name), `drop table ${comment}.next_${mark};`);
    const before = join(folder, 'down', name.replace('.sql', ''));
    cpSync(currentFolder(schema), before, {
      recursive: true,
      filter: (path) => !/[\\/]down$|[\\/]\d+_[^\\/]*\.sql$/.test(path.slice(currentFolder(schema).length)),
    });
    for (const [file, text] of functions) {
      // Inside of the body, which is where the catalogue shows it.
      writeFileSync(join(folder, file), text.replace(/^(begin|as \$\w*\$)$/m, '$1\n  -- changed'));
    }
    return folder;
  }

  it('replaces the functions that have changed, adds its migration, and takes both back, with all rows', async () => {
    await upgrade();
    await (await writeRows(database.url))[Symbol.asyncDispose]();
    const before = await readCatalogue(database.url, { contents: true });
    const next = SCHEMAS.map((schema) => migrationsFrom(postgres, schema, nextFolder(schema), NEXT));

    for (const [i, migrations] of next.entries()) {
      const { steps } = await migrations.run();
      const own = steps.filter(({ lib }) => lib === SCHEMAS[i]!.lib);
      expect(own.map(({ version }) => version)).toContain(2);
      expect(own.filter(({ version }) => version === null).length).toBeGreaterThan(1);
    }
    const after = await readCatalogue(database.url);
    for (const lib of [
      'kv_store_put',
      'lambda_add_channels',
      'lambda_subscribe',
      'hub_publish',
      'emt_append(',
      'wf_write',
    ]) {
      const [, text] = Object.entries(after).find(
        ([name]) => name.startsWith('function ') && name.includes(lib),
      )!;
      expect(text).toContain('-- changed');
    }
    // This release, which is the older one now, leaves it alone.
    for (const schema of SCHEMAS) {
      expect(await current(schema).run()).toMatchObject({ steps: [], newerRelease: NEXT });
      await current(schema).check();
    }

    for (const migrations of next.toReversed()) await migrations.revert({ to: 1 });
    expect(await readCatalogue(database.url, { contents: true })).toEqual(before);
    for (const schema of SCHEMAS)
      expect(await current(schema).status()).toMatchObject({ pending: [], newerRelease: undefined });
    await expectRows(database.url);
  });

  it('works beside this one, on the same rows', async () => {
    await upgrade();
    await (await writeRows(database.url))[Symbol.asyncDispose]();
    for (const schema of SCHEMAS) await migrationsFrom(postgres, schema, nextFolder(schema), NEXT).run();
    await expectRows(database.url);
  });
});
