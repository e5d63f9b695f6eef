import { MigrationChecksumError, MigrationOrderError, MigrationTooNewError } from './migrations.errors.js';
import type { MigrationFile } from './migration-files.js';
import { compareReleases } from './release.js';

/** A row of `nestbox.migrations`. */
export interface AppliedMigration {
  /** The file. */
  name: string;
  /** Null for a function. */
  version: number | null;
  checksum: string;
  /** The version of the package that applied it. */
  release: string;
  breaking: boolean;
  appliedAt: Date;
}

/** What a release would do to a target. */
export interface MigrationPlan {
  /** To be applied, in this order. */
  pending: MigrationFile[];
  /** The newer release that has been here, if so: then nothing is pending, whatever the functions say. */
  newerRelease: string | undefined;
}

/**
 * Compares the files of a release with what was applied. Functions are applied again when their text has changed,
 * but an older release leaves what a newer one made alone: during a rolling deployment both run at once.
 *
 * @param to the last migration to apply. The functions need all of them, so they come with the last one of the release
 * @throws MigrationChecksumError, MigrationOrderError, MigrationTooNewError
 */
export function planMigrations(
  lib: string,
  target: string,
  release: string,
  files: readonly MigrationFile[],
  applied: readonly AppliedMigration[],
  to: number = Infinity,
): MigrationPlan {
  const appliedVersions = new Map(
    applied.flatMap((row) => (row.version === null ? [] : [[row.version, row] as const])),
  );
  const highest = Math.max(0, ...appliedVersions.keys());
  const highestKnown = Math.max(0, ...files.map((file) => file.version ?? 0));

  for (const row of appliedVersions.values()) {
    if (row.breaking && row.version! > highestKnown) {
      throw new MigrationTooNewError(lib, target, row.name, row.release);
    }
  }
  for (const file of files) {
    if (file.version === null) continue;
    const row = appliedVersions.get(file.version);
    if (row === undefined && file.version < highest)
      throw new MigrationOrderError(lib, target, file.name, highest);
    if (row !== undefined && row.checksum !== file.checksum) {
      throw new MigrationChecksumError(lib, target, file.name, row.checksum, file.checksum);
    }
  }

  const newer = applied.find(
    (row) => (row.version ?? 0) > highestKnown || compareReleases(row.release, release) > 0,
  );
  if (newer !== undefined) return { pending: [], newerRelease: newer.release };

  const appliedFunctions = new Map(applied.map((row) => [row.name, row.checksum]));
  const pending = files.filter((file) =>
    file.version === null
      ? to >= highestKnown && appliedFunctions.get(file.name) !== file.checksum
      : file.version <= to && !appliedVersions.has(file.version),
  );
  return { pending, newerRelease: undefined };
}
