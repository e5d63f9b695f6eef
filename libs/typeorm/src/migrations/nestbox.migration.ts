import { InvalidArgumentError } from '@nestbox/core';
import type { Migrations, TransactionalQueryable } from '@nestbox/postgres';
import type { MigrationInterface } from 'typeorm';
import { type MigrationQueryRunner, QueryRunnerDatabase } from './query-runner-database.js';

/**
 * A step in the schema of a Nestbox library, as a migration of TypeORM. One class takes one schema from one version of
 * the library's numbered SQL files to another:
 *
 * ```ts
 * export class CreateAppKv1763700000001 extends NestboxMigration {
 *   readonly from = 0;
 *   readonly to = 1;
 *
 *   schema(database: TransactionalQueryable): Migrations {
 *     return kvMigrations(database, { tableName: 'app_kv' });
 *   }
 * }
 * ```
 *
 * It does the same as the library itself at start and as the `nestbox` command, and writes the same record into
 * `nestbox.migrations`. So whoever comes first does the work, and the others find it done. It runs in TypeORM's
 * transaction where there is one (modes `all` and `each`), else in one of its own, and takes the lock of all Nestbox
 * migrations, which ends with that transaction.
 *
 * When a later release of the library brings `002_….sql`, add another class, from 1 to 2, and leave this one as it is.
 * When it only brings changed functions, the class that you add goes from 1 to 1: it applies them, and its `down` does
 * nothing, since an older release works with newer functions.
 */
export abstract class NestboxMigration implements MigrationInterface {
  /** The version that `down` returns to; 0 removes everything that is kept in the schema. */
  abstract readonly from: number;
  /** The version that `up` leads to: the number of the last file that it applies. */
  abstract readonly to: number;

  /**
   * Which schema, under which names; such as `kvMigrations(database, { tableName: 'app_kv' })`. The other libraries
   * have `channelMigrations`, `eventHubMigrations`, `backplaneMigrations`, `eventStoreMigrations` and
   * `workflowMigrations`; the schema `nestbox`, which comes before them all, is `Migrations.ofFoundation(database)`.
   * `new Migrations(database, …)` does for SQL files of your own.
   */
  abstract schema(database: TransactionalQueryable): Migrations;

  /**
   * Applies what is pending up to `to`. Where the schema `nestbox` is missing, it comes first.
   *
   * @throws InvalidArgumentError when the installed release of the library does not know `to`; the errors of
   *   `Migrations.run`
   */
  async up(queryRunner: MigrationQueryRunner): Promise<void> {
    this.assertVersions();
    await this.schema(new QueryRunnerDatabase(queryRunner)).run({ to: this.to });
  }

  /**
   * Takes back what is above `from`, with all that is kept in it.
   *
   * @throws MigrationRevertError when that is not possible, such as when others build on it; the errors of
   *   `Migrations.revert`
   */
  async down(queryRunner: MigrationQueryRunner): Promise<void> {
    this.assertVersions();
    if (this.from === this.to) return;
    await this.schema(new QueryRunnerDatabase(queryRunner)).revert({ to: this.from });
  }

  private assertVersions(): void {
    const { from, to } = this;
    if (Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from <= to && to > 0) return;
    throw new InvalidArgumentError(
      this.constructor.name,
      `needs whole numbers with 0 <= from <= to and to > 0; got from ${String(from)} to ${String(to)}.`,
    );
  }
}
