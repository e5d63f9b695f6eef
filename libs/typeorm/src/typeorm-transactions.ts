import { InvalidArgumentError } from '@nestbox/core';
import type { Postgres, Transaction, TransactionOptions } from '@nestbox/postgres';
import type { DataSource, EntityManager } from 'typeorm';
import { assertSameDatabase } from './assert-same-database.js';
import { type DataSourceRuns, runsOf } from './data-source-runs.js';
import { EntityManagerSession } from './entity-manager-session.js';
import { guardDataSource } from './guard-data-source.js';
import { type PgTypes, pgTypesOf } from './pg-types.js';
import { NoTransactionError, RepositoryOutsideRunError } from './typeorm.errors.js';
import { isolationLevelOf, type TypeOrmIsolationLevel } from './isolation-level.js';

/** The two that share transactions. */
export interface TypeOrmTransactionsOptions {
  /** An initialized data source of the type `postgres`. */
  dataSource: DataSource;
  /** Connections to the same database. */
  postgres: Postgres;
  /** What a run has that names none. Default: the data source's, else the database's. */
  isolationLevel?: TypeOrmIsolationLevel | undefined;
}

/** How one run is begun. */
export interface TypeOrmTransactionOptions {
  /** Default: the module's, else the data source's `isolationLevel`, else the database's, which is `read committed` unless configured otherwise. */
  isolationLevel?: TypeOrmIsolationLevel;
  /** Default: the database's, which is false unless configured otherwise. */
  readOnly?: boolean;
}

/**
 * One transaction for TypeORM and Nestbox. It is opened on a connection of {@link Postgres}, and TypeORM works on that
 * connection too: entities, events with their inline projections, key-value writes, workflow starts, channel changes
 * and hub publishes commit or vanish together.
 */
export class TypeOrmTransactions {
  readonly #options: TypeOrmTransactionsOptions;
  readonly #runs: DataSourceRuns;
  #ready: Promise<PgTypes> | undefined;
  #types: PgTypes | undefined;
  #unguard: (() => void) | undefined;

  constructor(options: TypeOrmTransactionsOptions) {
    if (typeof options.dataSource?.createEntityManager !== 'function') {
      throw new InvalidArgumentError('options.dataSource', 'must be a DataSource of TypeORM.');
    }
    if (typeof options.postgres?.transaction !== 'function') {
      throw new InvalidArgumentError('options.postgres', 'must be a Postgres of @nestbox/postgres.');
    }
    if (options.isolationLevel !== undefined) isolationLevelOf(options.isolationLevel);
    this.#options = options;
    this.#runs = runsOf(options.dataSource);
  }

  /**
   * Makes sure that both reach the same database, and from then on watches over the repositories of the data source.
   * May be called twice. Without it, the first {@link run} does so.
   *
   * @throws DataSourceMismatchError; what either connection fails with
   */
  async init(): Promise<void> {
    this.#ready ??= this.#start().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    this.#types = await this.#ready;
  }

  /** Leaves the data source as it was found. May be called twice, and without `init`. */
  close(): void {
    this.#unguard?.();
    this.#unguard = undefined;
    this.#ready = undefined;
    this.#types = undefined;
  }

  /**
   * Runs `fn` in a transaction. Inside of it every repository of the data source, injected ones included, and every
   * Nestbox service on the same {@link Postgres} joins that transaction. Commits when `fn` resolves, rolls back when it
   * rejects; what is published leaves after the commit. Inside another transaction, of TypeORM or of
   * `Postgres.transaction`, it is a savepoint. Nothing is tried again.
   *
   * Subscribers of the data source are told of the start, the commit and the rollback. After the commit
   * `event.manager` is over; they take `event.dataSource.manager`.
   *
   * @throws what `fn` throws; TransactionClosedError when `fn` swallowed the error of a statement, or the connection
   *   was lost; CommitOutcomeUnknownError when it was lost during COMMIT; InvalidArgumentError for an isolation level
   *   in a nested transaction; DataSourceMismatchError
   */
  async run<T>(
    fn: (manager: EntityManager) => Promise<T>,
    options: TypeOrmTransactionOptions = {},
  ): Promise<T> {
    if (typeof fn !== 'function') throw new InvalidArgumentError('fn', 'must be a function.');
    if (this.#types === undefined) await this.init();
    const { postgres } = this.#options;
    const isOutermost = postgres.currentTransaction === undefined;
    let session: EntityManagerSession | undefined;
    try {
      return await postgres.transaction(
        async (transaction) => {
          session = this.#sessionOf(transaction);
          return await this.#runIn(session, transaction, fn);
        },
        this.#transactionOptions(options, isOutermost),
      );
    } catch (error) {
      await session?.broadcastFailure('AfterTransactionRollback');
      throw error;
    } finally {
      if (isOutermost) session?.end();
    }
  }

  /**
   * The manager of the transaction around, whoever has opened it: inside {@link run}, and also in a projection's
   * handler or in `ctx.transaction` of a workflow, where it saves the savepoint.
   *
   * @throws NoTransactionError
   */
  get manager(): EntityManager {
    const transaction = this.#options.postgres.currentTransaction;
    if (transaction === undefined) throw new NoTransactionError();
    return this.#sessionOf(transaction).manager;
  }

  async #start(): Promise<PgTypes> {
    const { dataSource, postgres } = this.#options;
    const types = pgTypesOf(dataSource);
    await assertSameDatabase(dataSource, postgres);
    this.#unguard ??= guardDataSource(dataSource, {
      session: () => this.#currentSession(),
      runNested: (fn, isolationLevel) => this.#runNested(fn, isolationLevel),
    });
    return types;
  }

  async #runIn<T>(
    session: EntityManagerSession,
    transaction: Transaction,
    fn: (manager: EntityManager) => Promise<T>,
  ): Promise<T> {
    await session.broadcast('BeforeTransactionStart');
    await session.broadcast('AfterTransactionStart');
    try {
      const result = await this.#runs.current.run(session, async () => fn(session.manager));
      await session.broadcast('BeforeTransactionCommit');
      transaction.afterCommit(() => session.broadcast('AfterTransactionCommit'));
      return result;
    } catch (error) {
      await session.broadcastFailure('BeforeTransactionRollback');
      throw error;
    }
  }

  #runNested<T>(fn: (manager: EntityManager) => Promise<T>, isolationLevel: string | undefined): Promise<T> {
    return this.run(
      fn,
      isolationLevel === undefined ? {} : { isolationLevel: isolationLevelOf(isolationLevel) },
    );
  }

  /** The session of the run around; undefined outside of any transaction. */
  #currentSession(): EntityManagerSession | undefined {
    const transaction = this.#options.postgres.currentTransaction;
    if (transaction === undefined) return undefined;
    const session = this.#runs.current.getStore();
    if (session?.transaction === transaction.outermost) return session;
    throw new RepositoryOutsideRunError();
  }

  #sessionOf({ outermost }: Transaction): EntityManagerSession {
    const known = this.#runs.sessions.get(outermost);
    if (known !== undefined) return known;
    const { dataSource } = this.#options;
    this.#types ??= pgTypesOf(dataSource);
    const session = new EntityManagerSession(dataSource, outermost, this.#types, (fn, level) =>
      this.#runNested(fn, level),
    );
    this.#runs.sessions.set(outermost, session);
    // A run ends it earlier where it has opened the transaction.
    outermost.afterCommit(() => session.end());
    return session;
  }

  #defaultLevel(): string | undefined {
    const { isolationLevel, dataSource } = this.#options;
    if (isolationLevel !== undefined) return isolationLevel;
    return 'isolationLevel' in dataSource.options ? dataSource.options.isolationLevel : undefined;
  }

  #transactionOptions(
    { isolationLevel, readOnly }: TypeOrmTransactionOptions,
    isOutermost: boolean,
  ): TransactionOptions {
    const level = isolationLevel ?? (isOutermost ? this.#defaultLevel() : undefined);
    return { isolationLevel: level === undefined ? undefined : isolationLevelOf(level), readOnly };
  }
}
