import type { MigrationFile } from './migration-files.js';
import type { AppliedMigration } from './migration-plan.js';
import { quoteLiteral } from './migration-template.js';
import type { Queryable } from './queryable.js';

/** What was applied to a target; nothing where there is no schema `nestbox` yet. */
export async function readApplied(on: Queryable, lib: string, target: string): Promise<AppliedMigration[]> {
  // Not to_regclass: inside a transaction it may answer from a cache that is as old as the transaction.
  const [found] = await on.query(`
    select exists (
      select from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where n.nspname = 'nestbox' and c.relname = 'migrations') as present`);
  if (found?.['present'] !== true) return [];
  const rows = await on.query(
    `select name, version, checksum, release, breaking, (extract(epoch from applied_at) * 1000)::float8 as applied
       from nestbox.migrations
      where lib = $1 and target = $2
      order by version, name`,
    [lib, target],
  );
  return rows.map((row) => ({
    name: String(row['name']),
    version: row['version'] === null ? null : Number(row['version']),
    checksum: String(row['checksum']),
    release: String(row['release']),
    breaking: row['breaking'] === true,
    appliedAt: new Date(Number(row['applied'])),
  }));
}

/** The statement that records an applied file; without parameters, so that it can be printed too. */
export function recordSql(lib: string, target: string, release: string, file: MigrationFile): string {
  const values = [
    ...[lib, target, file.name].map(quoteLiteral),
    file.version ?? 'null',
    ...[file.checksum, release].map(quoteLiteral),
    file.breaking,
  ];
  return `\
insert into nestbox.migrations (lib, target, name, version, checksum, release, breaking)
values (${values.join(', ')})
on conflict (lib, target, name) do update
set checksum = excluded.checksum, release = excluded.release, applied_at = clock_timestamp();`;
}

/** The statement that forgets a migration and all functions of its target. */
export function forgetSql(lib: string, target: string, version: number): string {
  return `\
delete from nestbox.migrations
 where lib = ${quoteLiteral(lib)} and target = ${quoteLiteral(target)} and (version = ${version} or version is null);`;
}

/** What other libs have applied, by lib and target. */
export async function readOthers(on: Queryable, lib: string): Promise<{ lib: string; target: string }[]> {
  const rows = await on.query(
    'select distinct lib, target from nestbox.migrations where lib <> $1 order by lib, target',
    [lib],
  );
  return rows.map((row) => ({ lib: String(row['lib']), target: String(row['target']) }));
}
