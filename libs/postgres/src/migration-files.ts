import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { InvalidArgumentError, messageOf } from '@nestbox/core';

/** A file in the `sql` folder of a lib. */
export interface MigrationFile {
  /** Such as `002_history.sql` or `enter_log.sql`. */
  name: string;
  /** The number of a migration; null for a function. */
  version: number | null;
  /** The text with its placeholders. */
  template: string;
  /** SHA-256 of the template, in hex. */
  checksum: string;
  /** Whether releases that do not know this migration cannot work with its result (`-- nestbox: breaking`). */
  breaking: boolean;
}

const MIGRATION_NAME = /^(\d{3,})_\w+\.sql$/;
const FUNCTION_NAME = /^[A-Za-z_]\w*\.sql$/;
const BREAKING = /^--[ \t]*nestbox:[ \t]*breaking[ \t]*$/m;

/**
 * Reads a folder: first the numbered migrations in order, then the functions by name.
 *
 * @throws InvalidArgumentError when the folder cannot be read, a name fits neither kind, or a number is used twice
 */
export async function readMigrationFiles(directory: URL): Promise<MigrationFile[]> {
  let names: string[];
  try {
    names = (await readdir(directory)).filter((name) => name.endsWith('.sql'));
  } catch (error) {
    throw new InvalidArgumentError('directory', `${directory.href} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const files = await Promise.all(names.map((name) => readMigrationFile(directory, name)));
  files.sort(inOrder);
  files.forEach((file, i) => {
    const before = files[i - 1];
    if (file.version !== null && before?.version === file.version) {
      throw new InvalidArgumentError('directory', `${before.name} and ${file.name} have the same number.`);
    }
  });
  return files;
}

/** Reads one file of a folder. @throws InvalidArgumentError for a name that fits neither kind */
export async function readMigrationFile(directory: URL, name: string): Promise<MigrationFile> {
  const version = MIGRATION_NAME.exec(name)?.[1];
  if (version === undefined && !FUNCTION_NAME.test(name)) {
    throw new InvalidArgumentError(
      'directory',
      `${name} must be named 001_what_it_does.sql, or after its function.`,
    );
  }
  // Git may have checked the file out with the line ends of Windows.
  const template = (await readFile(new URL(encodeURIComponent(name), directory), 'utf8')).replaceAll(
    '\r\n',
    '\n',
  );
  return {
    name,
    version: version === undefined ? null : Number(version),
    template,
    checksum: createHash('sha256').update(template).digest('hex'),
    breaking: BREAKING.test(template),
  };
}

function inOrder(a: MigrationFile, b: MigrationFile): number {
  const byVersion = (a.version ?? Infinity) - (b.version ?? Infinity);
  if (a.version !== b.version) return byVersion;
  return a.name < b.name ? -1 : 1;
}
