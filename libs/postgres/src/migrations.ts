import { assertName, InvalidArgumentError, runInRootScope } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { planRevert, readDownMigrations, type DownMigration } from './migration-down.js';
import { MigrationFailedError, MigrationRequiredError, MigrationRevertError } from './migrations.errors.js';
import { readMigrationFiles, type MigrationFile } from './migration-files.js';
import { planMigrations, type AppliedMigration, type MigrationPlan } from './migration-plan.js';
import { forgetSql, readApplied, readOthers, recordSql } from './migration-record.js';
import { renderTemplate } from './migration-template.js';
import type {
  MigrationReport,
  MigrationStatus,
  MigrationStep,
  MigrationsOptions,
} from './migrations.options.js';
import type { Queryable, TransactionalQueryable } from './queryable.js';
import { releaseOf } from './release.js';

/** A step, whose it is, and the statement that writes it down. */
interface PlannedStep {
  step: MigrationStep;
  owner: Migrations;
  record: string;
}

interface PlannedSteps {
  steps: PlannedStep[];
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
   * @param options.to the last migration to apply. The functions come with the last one that this release knows, since
   *   they need all of them. Default: all
   * @throws InvalidArgumentError when this release has no such migration; MigrationChecksumError, MigrationOrderError,
   *   MigrationTooNewError; MigrationFailedError with the cause
   */
  run({ dryRun = false, to }: { dryRun?: boolean; to?: number } = {}): Promise<MigrationReport> {
    return runInRootScope(async () => {
      if (to !== undefined) await this.assertKnown(to, 1);
      return await this.runInOwnScope(dryRun, (on) => this.pendingSteps(on, to));
    });
  }

  /**
   * Takes migrations back, with all that was kept in what they had made, by the files in the folder `down`; on a
   * connection of its own, in one transaction and under the lock of all migrations. What is missing of the schema
   * `nestbox` is applied first.
   *
   * @param options.to the version to return to; 0 removes everything
   * @param options.dryRun only report what would be done; changes nothing
   * @throws InvalidArgumentError when this release has no such migration; MigrationRevertError when one has no file in
   *   `down`, when a newer release was here, or when others build on what would go; MigrationFailedError with the
   *   cause; MigrationChecksumError, MigrationOrderError, MigrationTooNewError
   */
  revert({ to, dryRun = false }: { to: number; dryRun?: boolean }): Promise<MigrationReport> {
    return runInRootScope(async () => {
      await this.assertKnown(to, 0);
      return await this.runInOwnScope(dryRun, (on) => this.downSteps(on, to));
    });
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
        latestVersion: latestOf(files),
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
      const names = steps.map(({ step }) => step.file);
      const { files } = await this.load();
      throw new MigrationRequiredError(this.options, names, latestOf(files));
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
      const { files, release } = await migrations.load();
      const { lib, target } = migrations.options;
      for (const file of files) {
        const { step, record } = migrations.planned(file, recordSql(lib, target, release, file));
        parts.push(`-- ${step.lib}: ${step.file}`, step.sql.trimEnd(), record);
      }
    }
    return [...parts, 'commit;', ''].join('\n\n');
  }

  private async assertKnown(to: number, lowest: number): Promise<void> {
    const { files, release } = await this.load();
    const latest = latestOf(files);
    if (Number.isSafeInteger(to) && to >= lowest && to <= latest) return;
    throw new InvalidArgumentError(
      'to',
      `must be a version from ${lowest} to ${latest}, the last one of ${this.options.lib} ${release}; got ${String(to)}.`,
    );
  }

  private async runInOwnScope(
    dryRun: boolean,
    plan: (on: Queryable) => Promise<PlannedSteps>,
  ): Promise<MigrationReport> {
    const { lib, target } = this.options;
    const report = ({ steps, newerRelease }: PlannedSteps): MigrationReport => ({
      lib,
      target,
      dryRun,
      steps: steps.map(({ step }) => step),
      newerRelease,
    });
    const planned = await plan(this.postgres);
    if (planned.newerRelease !== undefined) this.sayNewer(planned.newerRelease);
    if (dryRun || planned.steps.length === 0) return report(planned);
    return await this.postgres.transaction(
      async (transaction) => {
        await this.lock(transaction);
        // Whoever held the lock before us may have done it all.
        const now = await plan(transaction);
        for (const { step, owner, record } of now.steps) await owner.apply(transaction, step, record);
        return report(now);
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

  private async pendingSteps(on: Queryable, to?: number): Promise<PlannedSteps> {
    const before = this.foundation === undefined ? [] : (await this.foundation.pendingSteps(on)).steps;
    const { lib, target } = this.options;
    const plan = await this.plan(await readApplied(on, lib, target), to);
    const { release } = await this.load();
    const steps = plan.pending.map((file) => this.planned(file, recordSql(lib, target, release, file)));
    return { steps: [...before, ...steps], newerRelease: plan.newerRelease };
  }

  private async downSteps(on: Queryable, to: number): Promise<PlannedSteps> {
    const { lib, target, directory } = this.options;
    const { files } = await this.load();
    const applied = await readApplied(on, lib, target);
    const { newerRelease } = await this.plan(applied);
    const downs = await readDownMigrations(directory, files);
    const planned = planRevert(lib, target, { downs, applied, newerRelease }, to);
    if (planned.length === 0) return { steps: [], newerRelease: undefined };
    if (this.foundation === undefined && to === 0) await this.assertAlone(on);
    // What the files in `down` call may be newer than what is there.
    const before = this.foundation === undefined ? [] : (await this.foundation.pendingSteps(on)).steps;
    return {
      steps: [...before, ...planned.flatMap((down) => this.downStep(down, applied))],
      newerRelease: undefined,
    };
  }

  private downStep({ version, file, functions }: DownMigration, applied: AppliedMigration[]): PlannedStep[] {
    const { lib, target } = this.options;
    // The record of the first migration goes with its table.
    const forget = this.foundation === undefined && version === 1 ? '' : forgetSql(lib, target, version);
    // As the release recorded them that was here: then it, and not this one, decides what is newer.
    const release = applied.findLast((row) => row.version !== null && row.version < version)?.release;
    return [
      this.planned(file, forget),
      ...functions.map((one) => this.planned(one, recordSql(lib, target, release ?? '0.0.0', one))),
    ];
  }

  /** The tables of all others' records and leases are in this schema. */
  private async assertAlone(on: Queryable): Promise<void> {
    const { lib, target } = this.options;
    const others = await readOthers(on, lib);
    if (others.length === 0) return;
    const list = others.map((other) => `${other.lib} on ${other.target}`).join(', ');
    throw new MigrationRevertError(lib, target, `Others build on it; take these back first: ${list}.`);
  }

  private async plan(applied: AppliedMigration[], to?: number): Promise<MigrationPlan> {
    const { files, release } = await this.load();
    return planMigrations(this.options.lib, this.options.target, release, files, applied, to);
  }

  private planned(file: MigrationFile, record: string): PlannedStep {
    const { lib, target, parameters = {} } = this.options;
    const sql = renderTemplate(file.template, parameters, file.name);
    return { step: { lib, target, file: file.name, version: file.version, sql }, owner: this, record };
  }

  private async apply(transaction: Queryable, { sql, file }: MigrationStep, record: string): Promise<void> {
    try {
      await transaction.query(sql);
      if (record !== '') await transaction.query(record);
    } catch (error) {
      throw new MigrationFailedError(this.options.lib, this.options.target, file, error);
    }
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

function latestOf(files: readonly MigrationFile[]): number {
  return Math.max(0, ...files.map((file) => file.version ?? 0));
}

const FOUNDATION: MigrationsOptions = {
  lib: 'postgres',
  target: 'nestbox',
  directory: new URL('../sql/', import.meta.url),
};
