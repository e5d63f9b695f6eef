import type { Postgres } from '@nestbox/postgres';
import { expectedIndexes } from './expected-indexes.js';
import { ok, problem, type Finding } from './finding.js';
import type { LibState } from './schema-versions.js';

/** An index as the catalogue has it. */
export interface FoundIndex {
  readonly schema: string;
  readonly table: string;
  readonly name: string;
  /** Without quotes: `topic, position`. */
  readonly columns: string;
  readonly isPrimary: boolean;
  /** False after `create index concurrently` has failed, or while a partition lacks it. */
  readonly isValid: boolean;
}

const TEXT = `
  select n.nspname as schema, t.relname as table, c.relname as name, pg_get_indexdef(c.oid) as definition,
         i.indisprimary as primary, i.indisvalid as valid
    from pg_index i
    join pg_class c on c.oid = i.indexrelid
    join pg_class t on t.oid = i.indrelid
    join pg_namespace n on n.oid = t.relnamespace
   where n.nspname = any ($1::text[])
   order by 1, 2, 3`;

/** Whether the indexes of what is there are there, and valid. */
export async function indexes(postgres: Postgres, states: readonly LibState[]): Promise<Finding[]> {
  const there = states.filter(({ isThere }) => isThere).map(placeOf);
  if (there.length === 0) return [];
  const found = await foundIndexes(
    postgres,
    there.map(({ schema }) => schema),
  );
  const missing = there.flatMap(({ schema, wanted }) => missingOf(schema, wanted, found));
  // What an application keeps in the same schema is its own affair.
  const tables = new Set(
    there.flatMap(({ schema, wanted }) => Object.keys(wanted).map((table) => `${schema}.${table}`)),
  );
  const ours = found.filter(({ schema, table }) => tables.has(`${schema}.${table}`));
  const invalid = ours.filter(({ isValid }) => !isValid);
  const findings = [
    ...missing,
    ...invalid.map(({ schema, table, name }) =>
      problem(
        'indexes',
        `index "${name}" of ${schema}.${table} is not valid, so that it is not used`,
        `Build it anew: reindex index "${schema}"."${name}"`,
      ),
    ),
  ];
  return findings.length > 0 ? findings : [ok('indexes', `all ${ours.length} are there and valid`)];
}

export async function foundIndexes(postgres: Postgres, schemas: readonly string[]): Promise<FoundIndex[]> {
  const rows = await postgres.query(TEXT, [[...schemas]]);
  return rows.map((row) => ({
    schema: String(row['schema']),
    table: String(row['table']),
    name: String(row['name']),
    columns: columnsOf(String(row['definition'])),
    isPrimary: row['primary'] === true,
    isValid: row['valid'] === true,
  }));
}

function missingOf(
  schema: string,
  wanted: Readonly<Record<string, readonly string[]>>,
  found: readonly FoundIndex[],
): Finding[] {
  return Object.entries(wanted).flatMap(([table, [primary, ...others]]) => {
    const of = found.filter((index) => index.schema === schema && index.table === table);
    const lacking = others.filter((columns) => !of.some((index) => index.columns === columns));
    const lacksPrimary = !of.some((index) => index.isPrimary && index.columns === primary);
    return [
      ...(lacksPrimary ? [`primary key (${primary})`] : []),
      ...lacking.map((columns) => `index on (${columns})`),
    ].map((what) =>
      problem(
        'indexes',
        `${schema}.${table} lacks its ${what}`,
        `Create it again as nestbox migrate sql prints it.`,
      ),
    );
  });
}

/** The schema of a lib, and what it should have there. */
function placeOf({ lib, target }: LibState): {
  schema: string;
  wanted: Readonly<Record<string, readonly string[]>>;
} {
  const isNamed = lib === 'kv' || lib === 'backplane';
  const dot = isNamed ? target.lastIndexOf('.') : target.length;
  return { schema: target.slice(0, dot), wanted: expectedIndexes(lib, target.slice(dot + 1)) };
}

/** Of `create index … using btree (topic, "position") where …`. */
function columnsOf(definition: string): string {
  const [, columns = ''] = / USING \w+ \(([^)]*)\)/.exec(definition) ?? [];
  return columns.replaceAll('"', '');
}
