import { assertName, runInRootScope } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { MigrationFailedError, MigrationRequiredError } from './migrations.errors.js';
import { readMigrationFiles, type MigrationFile } from './migration-files.js';
import { planMigrations, type AppliedMigration, type MigrationPlan } from './migration-plan.js';
import { readApplied, recordSql } from './migration-record.js';
import { renderTemplate, type TemplateParameters } from './migration-template.js';
import type { Queryable, TransactionalQueryable } from './queryable.js';
import { releaseOf } from './release.js';

export interface MigrationsOptions {
  /** Whose migrations, such as `kv`. */
  lib: string;
  /** What they are applied to, such as `public.kv_store`: one database may hold several. */
  target: string;
  /** The folder with the .sql files: `new URL('../sql/', import.meta.url)`. */
  directory: URL;
  /** What the placeholders stand for; see migration-template.ts for their syntax. Default: none. */
  parameters?: TemplateParameters;
  /** Default: the version in the package.json beside the folder. */
  release?: string;
}

/** A file that was applied, or would be. */
export interface MigrationStep {
  lib: string;
  target: string;
  /** Such as `002_history.sql`. */
  file: string;
  /** The number of a migration; null for a function. */
  version: number | null;
  /** The statements, with parameters filled in. */
  sql: string;
}

export interface MigrationReport {
  lib: string;
  target: string;
  dryRun: boolean;
  /** In order; empty when there was nothing to do. The schema `nestbox` itself comes first where it is missing. */
  steps: MigrationStep[];
  /** The newer release that the database was left to, if any. */
  newerRelease: string | undefined;
}

export interface MigrationStatus {
  lib: string;
  target: string;
  /** The highest migration that was applied; 0 for none. */
  version: number;
  /** The highest migration that this release knows. */
  latestVersion: number;
  applied: AppliedMigration[];
  /** The files that {@link Migrations.run} would apply. */
  pending: string[];
  newerRelease: string | undefined;
}

/** The advisory lock of all migrations of a database: the letters of "nestbox". */
const LOCK_KEY = 0x6e_65_73_74_62_6f_78n;

/** Waiting for longer than this is said in the log. */
const SLOW_LOCK_MS = 5_000;

const LOCK = `\
set local statement_timeout = 0;
set local lock_timeout = 0;
select pg_advisory_xact_lock(${LOCK_KEY});
set local lock_timeout to default;`;

/**
 * Creates and changes the schema of a lib from numbered .sql files.
 *
 * - `001_name.sql`, `002_name.sql`, … are applied once each, in order. They are never edited after a release.
 * - Any other .sql file holds one function (`create or replace function …`), named after it. It is applied after the
 *   migrations, by name, and again whenever its text has changed.
 *
 * All that is pending is applied in one transaction, under a lock: any number of processes may run it at once, and a
 * failure leaves nothing behind. The schema `nestbox`, which holds the record and the primitives, comes first. When
 * nothing is pending, nothing is locked and no privilege but reading is needed.
 *
 * An older release leaves a database that a newer one has migrated alone and goes on, unless the newer one marked a
 * migration with a line `-- nestbox: breaking`.
 */
export class Migrations {
  private readonly logger = new Logger('NestboxMigrations');
  private readonly foundation: Migrations | undefined;
  private loaded: Promise<{ files: MigrationFile[]; release: string }> | undefined;
  private saidNewer = false;

  /** @throws InvalidArgumentError for a `lib` or `target` that is no name */
  constructor(
    private readonly postgres: TransactionalQueryable,
    private readonly options: MigrationsOptions,
  ) {
    assertName(options.lib, 'lib');
    assertName(options.target, 'target');
    this.foundation = options.lib === FOUNDATION.lib ? undefined : new Migrations(postgres, FOUNDATION);
  }

  /** The migrations of the schema `nestbox`, which all others build on. */
  static ofFoundation(postgres: TransactionalQueryable): Migrations {
    return new Migrations(postgres, FOUNDATION);
  }

  /**
   * Applies what is pending, on a connection of its own even inside an ambient transaction.
   *
   * @param options.dryRun only report what would be applied; changes nothing
   * @throws MigrationChecksumError, MigrationOrderError, MigrationTooNewError; MigrationFailedError with the cause
   */
  run(options: { dryRun?: boolean } = {}): Promise<MigrationReport> {
    return runInRootScope(() => this.runInOwnScope(options.dryRun ?? false));
  }

  /** What was applied, and what is pending. Changes nothing. */
  status(): Promise<MigrationStatus> {
    return runInRootScope(async () => {
      const { files } = await this.load();
      const applied = await readApplied(this.postgres, this.options.lib, this.options.target);
      const plan = await this.plan(applied);
      return {
        lib: this.options.lib,
        target: this.options.target,
        version: Math.max(0, ...applied.map((row) => row.version ?? 0)),
        latestVersion: Math.max(0, ...files.map((file) => file.version ?? 0)),
        applied,
        pending: plan.pending.map((file) => file.name),
        newerRelease: plan.newerRelease,
      };
    });
  }

  /**
   * Makes sure that nothing is pending. Changes nothing, and needs no privilege but reading.
   *
   * @throws MigrationRequiredError with the command to run; MigrationChecksumError, MigrationOrderError,
   *   MigrationTooNewError
   */
  check(): Promise<void> {
    return runInRootScope(async () => {
      const { steps } = await this.pendingSteps(this.postgres);
      if (steps.length === 0) return;
      const files = steps.map(({ step }) => step.file);
      throw new MigrationRequiredError(this.options.lib, this.options.target, files);
    });
  }

  /**
   * The whole schema as a script for psql, in one transaction and with its record, for an empty database. Reads no
   * database.
   *
   * @param options.foundation whether to begin with the schema `nestbox`. Default: true
   */
  async sql(options: { foundation?: boolean } = {}): Promise<string> {
    const parts = ['begin;', LOCK];
    const all =
      options.foundation === false || this.foundation === undefined ? [this] : [this.foundation, this];
    for (const migrations of all) {
      const { files } = await migrations.load();
      for (const file of files) {
        const step = migrations.step(file);
        parts.push(`-- ${step.lib}: ${step.file}`, step.sql.trimEnd(), await migrations.record(file));
      }
    }
    return [...parts, 'commit;', ''].join('\n\n');
  }

  private async runInOwnScope(dryRun: boolean): Promise<MigrationReport> {
    const { lib, target } = this.options;
    const planned = await this.pendingSteps(this.postgres);
    if (planned.newerRelease !== undefined) this.sayNewer(planned.newerRelease);
    if (dryRun || planned.steps.length === 0) {
      return {
        lib,
        target,
        dryRun,
        steps: planned.steps.map(({ step }) => step),
        newerRelease: planned.newerRelease,
      };
    }
    return await this.postgres.transaction(
      async (transaction) => {
        await this.lock(transaction);
        // Whoever held the lock before us may have done it all.
        const { steps, newerRelease } = await this.pendingSteps(transaction);
        for (const { step, owner, file } of steps) await owner.apply(transaction, file, step.sql);
        return { lib, target, dryRun, steps: steps.map(({ step }) => step), newerRelease };
      },
      // The snapshot after the lock must be newer than the lock.
      { isolationLevel: 'read committed' },
    );
  }

  private async lock(transaction: Queryable): Promise<void> {
    const patience = setTimeout(() => {
      this.logger.warn(
        `The migrations of ${this.options.lib} wait for another process, or a forgotten psql, that holds their lock.`,
      );
    }, SLOW_LOCK_MS).unref();
    try {
      await transaction.query(LOCK);
    } finally {
      clearTimeout(patience);
    }
  }

  private async pendingSteps(on: Queryable): Promise<{
    steps: { step: MigrationStep; owner: Migrations; file: MigrationFile }[];
    newerRelease: string | undefined;
  }> {
    const before = this.foundation === undefined ? [] : (await this.foundation.pendingSteps(on)).steps;
    const plan = await this.plan(await readApplied(on, this.options.lib, this.options.target));
    const steps = plan.pending.map((file) => ({ step: this.step(file), owner: this as Migrations, file }));
    return { steps: [...before, ...steps], newerRelease: plan.newerRelease };
  }

  private async plan(applied: AppliedMigration[]): Promise<MigrationPlan> {
    const { files, release } = await this.load();
    return planMigrations(this.options.lib, this.options.target, release, files, applied);
  }

  private step(file: MigrationFile): MigrationStep {
    const { lib, target, parameters = {} } = this.options;
    const sql = renderTemplate(file.template, parameters, file.name);
    return { lib, target, file: file.name, version: file.version, sql };
  }

  private async apply(transaction: Queryable, file: MigrationFile, sql: string): Promise<void> {
    try {
      await transaction.query(sql);
      await transaction.query(await this.record(file));
    } catch (error) {
      throw new MigrationFailedError(this.options.lib, this.options.target, file.name, error);
    }
  }

  private async record(file: MigrationFile): Promise<string> {
    const { release } = await this.load();
    return recordSql(this.options.lib, this.options.target, release, file);
  }

  private load(): Promise<{ files: MigrationFile[]; release: string }> {
    if (this.loaded === undefined) {
      const { directory, release } = this.options;
      const loaded = Promise.all([readMigrationFiles(directory), release ?? releaseOf(directory)]).then(
        ([files, version]) => ({ files, release: version }),
      );
      // A folder that could not be read may be readable the next time.
      loaded.catch(() => (this.loaded = undefined));
      this.loaded = loaded;
    }
    return this.loaded;
  }

  private sayNewer(newerRelease: string): void {
    if (this.saidNewer) return;
    this.saidNewer = true;
    const { lib, target } = this.options;
    this.logger.log(
      `${target} was migrated by release ${newerRelease} of ${lib}, which is newer; left as it is.`,
    );
  }
}

const FOUNDATION: MigrationsOptions = {
  lib: 'postgres',
  target: 'nestbox',
  directory: new URL('../sql/', import.meta.url),
};
