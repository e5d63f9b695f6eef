import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Migrations, type Postgres, quoteIdentifier } from '@nestbox/postgres';

const ROOT = join(import.meta.dirname, '..', '..');
const FOLDER = join(ROOT, 'test', 'fixtures', 'schemas');

/** A schema of the suite, under the names that it has by default. */
export interface Schema {
  lib: string;
  target: string;
  /** Where its .sql files are, from the root of the repository. */
  folder: string;
  parameters: Record<string, string>;
}

const SERVERLESS = { schema: 'serverless' };
const stream = (name: string): Schema => ({
  lib: 'backplane',
  target: `serverless.${name}`,
  folder: 'libs/channels/sql/backplane',
  parameters: { ...SERVERLESS, name },
});

/** In the order in which they are made. */
export const SCHEMAS: readonly Schema[] = [
  { lib: 'postgres', target: 'nestbox', folder: 'libs/postgres/sql', parameters: {} },
  {
    lib: 'kv',
    target: 'public.kv_store',
    folder: 'libs/kv/sql',
    parameters: { schema: 'public', table: 'kv_store' },
  },
  { lib: 'channels', target: 'serverless', folder: 'libs/channels/sql/channels', parameters: SERVERLESS },
  { lib: 'event-hub', target: 'serverless', folder: 'libs/event-hub/sql', parameters: SERVERLESS },
  stream('hub'),
  {
    lib: 'event-store',
    target: 'event_store',
    folder: 'libs/event-store/sql',
    parameters: { schema: 'event_store', sequence: 'emt_global_position' },
  },
  {
    lib: 'workflows',
    target: 'workflows',
    folder: 'libs/workflows/sql',
    parameters: { schema: 'workflows', claims: 'workflow_claims' },
  },
];

/** The releases whose schemas are kept, oldest first. */
export const RELEASES: readonly string[] = existsSync(FOLDER)
  ? readdirSync(FOLDER, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  : [];

/** The folder with a library's .sql files as a release had them. */
export function frozenFolder(release: string, { lib }: Schema): string {
  return join(FOLDER, release, lib);
}

/** The .sql files of a folder, without those in `down`. */
export function sqlFiles(folder: string): Map<string, string> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.sql'));
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

export function currentFolder({ folder }: Schema): string {
  return join(ROOT, folder);
}

/** The migrations of a schema from a folder, as a release would run them. */
export function migrationsFrom(
  postgres: Postgres,
  schema: Schema,
  folder: string,
  release: string,
): Migrations {
  const { lib, target, parameters } = schema;
  return new Migrations(postgres, {
    lib,
    target,
    directory: pathToFileURL(`${folder}/`),
    parameters,
    release,
  });
}

/** Makes the schemas as a release made them, with the rows that were in them. */
export async function restore(postgres: Postgres, release: string): Promise<void> {
  for (const schema of SCHEMAS) {
    const migrations = migrationsFrom(postgres, schema, frozenFolder(release, schema), release);
    // Not run(), which would bring the schema nestbox to what it is today.
    await postgres.query(await migrations.sql({ foundation: false }));
  }
  await postgres.query(readFileSync(join(FOLDER, release, 'rows.sql'), 'utf8'));
}

/** Keeps the schemas of this release, and the rows that are in them. */
export async function freeze(postgres: Postgres, release: string): Promise<void> {
  for (const schema of SCHEMAS) {
    const folder = frozenFolder(release, schema);
    mkdirSync(folder, { recursive: true });
    for (const name of sqlFiles(currentFolder(schema)).keys()) {
      cpSync(join(currentFolder(schema), name), join(folder, name));
    }
  }
  writeFileSync(join(FOLDER, release, 'rows.sql'), await dumpRows(postgres));
}

const TABLES = `
  select n.nspname as schema, c.relname as name, c.relkind as kind
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where n.nspname = any ('{nestbox,public,serverless,event_store,workflows}') and c.relkind in ('r', 'S')
     and (n.nspname, c.relname) <> ('nestbox', 'migrations')
   order by c.oid`;

/** Tables that a library makes when it needs them. */
const COLLECTIONS = `
  select format('select event_store.emt_create_collection(%L, %L, %L);', name, definition -> 'indexes',
           definition ->> 'indexAll') as create
    from event_store.emt_collections order by name`;

/** The rows of all tables, and where the sequences stand, as statements. */
async function dumpRows(postgres: Postgres): Promise<string> {
  const tables: string[] = [];
  const statements: string[] = [];
  for (const { schema, name, kind } of await postgres.query<{ schema: string; name: string; kind: string }>(
    TABLES,
  )) {
    const qualified = `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
    if (kind === 'S') {
      const [at] = await postgres.query(
        `select last_value::text as value, is_called as called from ${qualified}`,
      );
      statements.push(`select setval('${qualified}', ${String(at!['value'])}, ${String(at!['called'])});`);
      continue;
    }
    tables.push(qualified);
    const rows = await postgres.query<{ row: string }>(`select to_jsonb(t)::text as row from ${qualified} t`);
    for (const { row } of rows) {
      statements.push(
        `insert into ${qualified} overriding system value\n` +
          `select * from jsonb_populate_record(null::${qualified}, $row$${row}$row$);`,
      );
    }
  }
  const collections = await postgres.query<{ create: string }>(COLLECTIONS);
  statements.unshift(`truncate ${tables.join(', ')};`);
  return [...collections.map(({ create }) => create), ...statements, ''].join('\n');
}
