import type { Transaction } from '@nestbox/postgres';
import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { PgClientFacade } from './pg-client-facade.js';
import type { PgTypes } from './pg-types.js';
import { UnsupportedInTransactionError } from './typeorm.errors.js';

type Broadcast = Parameters<QueryRunner['broadcaster']['broadcast']>[0] & `${string}Transaction${string}`;

/** Runs `fn` in a savepoint of the transaction, as `TypeOrmTransactions.run` does. */
export type RunNested = <T>(
  fn: (manager: EntityManager) => Promise<T>,
  isolationLevel: string | undefined,
) => Promise<T>;

/** TypeORM's side of one open transaction: a query runner, and its manager, on the transaction's connection. */
export class EntityManagerSession {
  readonly manager: EntityManager;
  readonly runner: QueryRunner;

  constructor(
    dataSource: DataSource,
    /** The outermost one. */
    readonly transaction: Transaction,
    types: PgTypes,
    runNested: RunNested,
  ) {
    this.runner = dataSource.driver.createQueryRunner('master');
    // What `connect()` of the runner gives. TypeORM neither begins nor ends the transaction, nor gives the connection back.
    Object.assign(this.runner, {
      databaseConnection: new PgClientFacade(transaction, types),
      isTransactionActive: true,
      transactionDepth: 1,
      release: async () => undefined,
      startTransaction: refused('startTransaction'),
      commitTransaction: refused('commitTransaction'),
      rollbackTransaction: refused('rollbackTransaction'),
      stream: refused('stream'),
    });
    this.manager = dataSource.createEntityManager(this.runner);
    Object.assign(this.manager, { transaction: nestedTransaction(runNested) });
    Object.assign(this.runner, { manager: this.manager });
  }

  /** Tells the data source's subscribers. */
  async broadcast(event: Broadcast): Promise<void> {
    await this.runner.broadcaster.broadcast(event);
  }

  /** Tells them of a failure, which is what the caller has to learn of, whatever they throw. */
  async broadcastFailure(event: Broadcast): Promise<void> {
    await this.broadcast(event).catch(() => undefined);
  }

  /** What comes late gets TypeORM's error of a released runner. */
  end(): void {
    Object.assign(this.runner, { isTransactionActive: false, transactionDepth: 0, isReleased: true });
  }
}

/** `EntityManager.transaction`, with its two forms, as a savepoint. */
export function nestedTransaction(runNested: RunNested): EntityManager['transaction'] {
  return async <T>(
    first: string | ((manager: EntityManager) => Promise<T>),
    second?: (manager: EntityManager) => Promise<T>,
  ): Promise<T> => (typeof first === 'string' ? runNested(second!, first) : runNested(first, undefined));
}

function refused(method: string): () => Promise<never> {
  const fix =
    method === 'stream'
      ? 'Read in pages instead.'
      : 'Use manager.transaction(…) or TypeOrmTransactions.run(…), which make savepoints here.';
  return async () => {
    throw new UnsupportedInTransactionError(
      `queryRunner.${method}() cannot be used inside of a transaction that Nestbox shares. ${fix}`,
    );
  };
}
