import { InvalidArgumentError } from '@nestbox/core';
import { readdir } from 'node:fs/promises';
import { readMigrationFile, readMigrationFiles, type MigrationFile } from './migration-files.js';
import type { AppliedMigration } from './migration-plan.js';
import { MigrationRevertError } from './migrations.errors.js';

/** What takes a migration back. */
export interface DownMigration {
  /** The migration that it takes back, such as 2. */
  version: number;
  /** `down/002_history.sql` */
  file: MigrationFile;
  /** The functions as the version before has them: `down/002_history/*.sql`. Version 0 has none. */
  functions: MigrationFile[];
}

/**
 * Reads the folder `down` beside numbered files: a file of the same name for each that can be taken back, and beside
 * it a folder of that name with the functions of the version before, all of them.
 *
 * @returns by number; empty where there is no such folder
 * @throws InvalidArgumentError for a file that belongs to no migration
 */
export async function readDownMigrations(
  directory: URL,
  files: readonly MigrationFile[],
): Promise<Map<number, DownMigration>> {
  const folder = new URL('down/', directory);
  const downs = new Map<number, DownMigration>();
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const folders = new Set(entries.filter((entry) => entry.isDirectory()).map(({ name }) => name));
  for (const { name } of entries.filter((entry) => entry.isFile() && entry.name.endsWith('.sql'))) {
    const version = files.find((file) => file.name === name)?.version ?? null;
    if (version === null) {
      throw new InvalidArgumentError(
        'directory',
        `down/${name} must be named as the migration it takes back.`,
      );
    }
    const file = await readMigrationFile(folder, name);
    const own = name.replace(/\.sql$/, '');
    const functions = folders.has(own) ? await readMigrationFiles(new URL(`${own}/`, folder)) : [];
    if (functions.some((one) => one.version !== null)) {
      throw new InvalidArgumentError('directory', `down/${own} must hold functions only.`);
    }
    downs.set(version, { version, file: { ...file, name: `down/${name}` }, functions });
  }
  return downs;
}

/**
 * What takes a target back to a version, newest first.
 *
 * @throws MigrationRevertError when a newer release was here, or when one of them cannot be taken back
 */
export function planRevert(
  lib: string,
  target: string,
  {
    downs,
    applied,
    newerRelease,
  }: {
    downs: ReadonlyMap<number, DownMigration>;
    applied: readonly AppliedMigration[];
    newerRelease: string | undefined;
  },
  to: number,
): DownMigration[] {
  const above = applied.filter((row) => row.version !== null && row.version > to);
  if (above.length === 0) return [];
  if (newerRelease !== undefined) {
    // It may have brought what the files of this release know nothing of.
    throw new MigrationRevertError(
      lib,
      target,
      `Release ${newerRelease} was here: use it, or a later one, for that.`,
    );
  }
  return above
    .map((row) => {
      const down = downs.get(row.version!);
      if (down !== undefined) return down;
      throw new MigrationRevertError(
        lib,
        target,
        `There is no down/${row.name}, which would take ${row.name} back.`,
      );
    })
    .sort((a, b) => b.version - a.version);
}
