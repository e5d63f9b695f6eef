import { InvalidArgumentError } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { DataSource, QueryRunner } from 'typeorm';

/** How the migrations of TypeORM are run. */
export interface RunMigrationsOptions {
  /** As in TypeORM. Default: the data source's `migrationsTransactionMode`, else `all`. */
  transaction?: 'all' | 'each' | 'none';
}

/** The advisory lock of those who run TypeORM's migrations: the letters of "typeorm". */
const LOCK_KEY = 0x74_79_70_65_6f_72_6dn;

/** Waiting for longer than this is said in the log. */
const SLOW_LOCK_MS = 5_000;

const LOCK = `\
set local statement_timeout = 0;
set local lock_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
select pg_advisory_xact_lock(${LOCK_KEY});`;

/**
 * Runs a data source's pending migrations as `dataSource.runMigrations()` does, but one process at a time: TypeORM
 * itself takes no lock, so that two instances that start at once (or have `migrationsRun: true`) run the same
 * migrations twice. Takes a second connection of the pool meanwhile.
 *
 * @returns the names of the migrations that were run
 * @throws InvalidArgumentError when the pool has room for one connection only; what the migrations throw
 */
export async function runMigrations(
  dataSource: DataSource,
  { transaction }: RunMigrationsOptions = {},
): Promise<string[]> {
  return await withLock(dataSource, async () => {
    const migrations = await dataSource.runMigrations(transaction && { transaction });
    return migrations.map(({ name }) => name);
  });
}

/**
 * Takes the last migration back, as `dataSource.undoLastMigration()` does, but one process at a time.
 *
 * @throws as {@link runMigrations}
 */
export async function revertMigration(
  dataSource: DataSource,
  { transaction }: RunMigrationsOptions = {},
): Promise<void> {
  await withLock(dataSource, () => dataSource.undoLastMigration(transaction && { transaction }));
}

async function withLock<T>(dataSource: DataSource, fn: () => Promise<T>): Promise<T> {
  const { poolSize, extra } = dataSource.options as { poolSize?: number; extra?: { max?: number } };
  if ((extra?.max ?? poolSize) === 1) {
    throw new InvalidArgumentError(
      'dataSource',
      'has a pool of one connection; give it two: one holds the lock while the other runs the migrations.',
    );
  }
  const holder = dataSource.createQueryRunner();
  try {
    // It ends with the transaction, and so also with the process or the connection.
    await holder.startTransaction('READ COMMITTED');
    await lock(holder);
    return await fn();
  } finally {
    if (holder.isTransactionActive) await holder.rollbackTransaction().catch(() => undefined);
    await holder.release();
  }
}

async function lock(holder: QueryRunner): Promise<void> {
  const patience = setTimeout(() => {
    new Logger('NestboxMigrations').warn(
      "TypeORM's migrations wait for another process, or a forgotten psql, that holds their lock.",
    );
  }, SLOW_LOCK_MS).unref();
  try {
    await holder.query(LOCK);
  } finally {
    clearTimeout(patience);
  }
}
