import { messageOf } from '@nestbox/core';
import { revertMigration, runMigrations } from '@nestbox/typeorm';
import type { DataSource } from 'typeorm';
import { createDataSource } from './data-source.js';

/** Where a command prints. */
export interface Output {
  out(text: string): void;
  error(text: string): void;
}

const COMMANDS: Record<string, (source: DataSource, output: Output) => Promise<void>> = { run, revert, show };

/**
 * `migration:run`, `migration:revert` and `migration:show`.
 *
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage
 */
export async function runCommand(
  [name = '', ...rest]: readonly string[],
  env: NodeJS.ProcessEnv,
  output: Output,
): Promise<number> {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined || rest.length > 0) {
    output.error(`migration: say one of ${Object.keys(COMMANDS).join(', ')}, and nothing else.`);
    return 2;
  }
  const url = env['DATABASE_URL'];
  if (url === undefined || url === '') {
    output.error('migration: set DATABASE_URL, such as postgres://localhost/shop.');
    return 2;
  }
  try {
    await withDataSource(url, (source) => command(source, output));
    return 0;
  } catch (error) {
    output.error(`migration: ${messageOf(error)}`);
    return 1;
  }
}

async function withDataSource(url: string, fn: (source: DataSource) => Promise<void>): Promise<void> {
  const source = createDataSource(url);
  try {
    await source.initialize();
    await fn(source);
  } finally {
    if (source.isInitialized) await source.destroy();
  }
}

async function run(source: DataSource, output: Output): Promise<void> {
  const names = await runMigrations(source);
  for (const name of names) output.out(`applied ${name}`);
  if (names.length === 0) output.out('nothing is pending');
}

async function revert(source: DataSource, output: Output): Promise<void> {
  const [last] = await executed(source);
  if (last === undefined) {
    output.out('nothing was applied');
    return;
  }
  await revertMigration(source);
  output.out(`reverted ${last}`);
}

async function show(source: DataSource, output: Output): Promise<void> {
  const names = new Set(await executed(source));
  for (const migration of source.migrations) {
    const name = migration.name ?? migration.constructor.name;
    output.out(`[${names.has(name) ? 'X' : ' '}] ${name}`);
  }
}

/** What TypeORM has written down, the last one first; unlike its own `showMigrations` it creates no table. */
async function executed(source: DataSource): Promise<string[]> {
  const table = source.options.migrationsTableName ?? 'migrations';
  const [found] = await source.query<{ present: boolean }[]>(
    'select to_regclass($1) is not null as present',
    [table],
  );
  if (found?.present !== true) return [];
  const rows = await source.query<{ name: string }[]>(`select name from "${table}" order by id desc`);
  return rows.map(({ name }) => name);
}
