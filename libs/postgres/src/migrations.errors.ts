import { NestboxError, messageOf } from '@nestbox/core';

/** A migration that was applied to the database is no longer what it was. */
export class MigrationChecksumError extends NestboxError {
  readonly code = 'MIGRATION_CHECKSUM';

  constructor(
    readonly lib: string,
    readonly target: string,
    /** The file that was changed. */
    readonly file: string,
    /** The checksum of the text that was applied. */
    readonly applied: string,
    /** The checksum of the text that the file has now. */
    readonly found: string,
  ) {
    super(
      `${file} of ${lib} was changed after it had been applied to ${target}. ` +
        'Restore its text (for a package: install it again), and put the change into a new file with the next number.',
    );
  }
}

/** A migration turned up below one that has been applied already. */
export class MigrationOrderError extends NestboxError {
  readonly code = 'MIGRATION_ORDER';

  constructor(
    readonly lib: string,
    readonly target: string,
    readonly file: string,
    /** The highest number that has been applied. */
    readonly version: number,
  ) {
    super(
      `${file} of ${lib} was never applied to ${target}, which is at version ${version} already. ` +
        `Give it a number above ${version}.`,
    );
  }
}

/** A migration failed; all that its run had done was rolled back. `cause` is the database's error. */
export class MigrationFailedError extends NestboxError {
  readonly code = 'MIGRATION_FAILED';

  constructor(
    readonly lib: string,
    readonly target: string,
    readonly file: string,
    cause: unknown,
  ) {
    super(`${file} of ${lib} failed on ${target}, and nothing was changed: ${messageOf(cause)}`, { cause });
  }
}

/** The database lacks migrations that this release needs, and it was told not to apply them. */
export class MigrationRequiredError extends NestboxError {
  readonly code = 'MIGRATION_REQUIRED';
  /** What applies them. */
  readonly command: string;

  readonly lib: string;
  readonly target: string;

  constructor(
    { lib, target, flags = {} }: { lib: string; target: string; flags?: Readonly<Record<string, string>> },
    /** The files that were not applied yet. */
    readonly files: readonly string[],
    /** The last migration that this release knows. */
    readonly version: number,
  ) {
    const options = Object.entries({ lib, ...flags }).map(([name, value]) => ` --${name} ${quoted(value)}`);
    const command = `nestbox migrate run${options.join('')}`;
    const more = files.length > 3 ? ` and ${files.length - 3} more` : '';
    super(
      `${target} lacks ${files.slice(0, 3).join(', ')}${more}, which ${lib} needs. Apply them: ${command} ` +
        `(or, where TypeORM runs the migrations, with a new NestboxMigration to version ${version})`,
    );
    this.lib = lib;
    this.target = target;
    this.command = command;
  }
}

/** A schema cannot be taken back to the version that was asked for. Nothing was changed. */
export class MigrationRevertError extends NestboxError {
  readonly code = 'MIGRATION_REVERT';

  constructor(
    readonly lib: string,
    readonly target: string,
    reason: string,
  ) {
    super(`${lib} on ${target} cannot be taken back. ${reason}`);
  }
}

/** The database was changed by a newer release in a way that this one cannot work with. */
export class MigrationTooNewError extends NestboxError {
  readonly code = 'MIGRATION_TOO_NEW';

  constructor(
    readonly lib: string,
    readonly target: string,
    /** The migration that this release does not know. */
    readonly file: string,
    /** The release that applied it. */
    readonly release: string,
  ) {
    super(
      `${target} was changed by release ${release} of ${lib} (${file}) in a way that this release cannot work with. ` +
        `Upgrade to ${release} or later.`,
    );
  }
}

/** As a shell takes it for one word. */
function quoted(value: string): string {
  return /^[\w.-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
