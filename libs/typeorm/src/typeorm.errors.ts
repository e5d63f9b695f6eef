import { NestboxError } from '@nestbox/core';

/** A repository was used inside `Postgres.transaction` without a run of {@link TypeOrmTransactions} around it. */
export class RepositoryOutsideRunError extends NestboxError {
  readonly code = 'REPOSITORY_OUTSIDE_RUN';

  constructor() {
    super(
      'A TypeORM repository was used inside a Nestbox transaction (Postgres.transaction, a projection handler or ' +
        'ctx.transaction), where it would work on a connection of its own and not be part of that transaction. ' +
        'Put it in TypeOrmTransactions.run(async (manager) => …) or in a @Transactional() method: inside of a ' +
        'transaction both join it.',
    );
  }
}

/** The EntityManager of a transaction was asked for where there is none. */
export class NoTransactionError extends NestboxError {
  readonly code = 'NO_TRANSACTION';

  constructor() {
    super('There is no transaction here. Use TypeOrmTransactions.run(async (manager) => …).');
  }
}

/** The data source and the `Postgres` that are to share a transaction do not fit together. */
export class DataSourceMismatchError extends NestboxError {
  readonly code = 'DATA_SOURCE_MISMATCH';
}

/** A part of TypeORM that cannot work on the connection of a Nestbox transaction. */
export class UnsupportedInTransactionError extends NestboxError {
  readonly code = 'UNSUPPORTED_IN_TRANSACTION';
}

/** A `@Transactional()` method was called on an object that Nest has not made. */
export class TransactionsNotInjectedError extends NestboxError {
  readonly code = 'TRANSACTIONS_NOT_INJECTED';

  constructor(
    /** Such as `Orders.place`. */
    readonly method: string,
    name: string | undefined,
  ) {
    const options = name === undefined ? '' : `{ name: '${name}' }`;
    super(
      `${method} is @Transactional(), but its object has no TypeOrmTransactions. Make its class a provider or ` +
        `controller of Nest, and import TypeOrmTransactionsModule.forRoot(${options}) in the root module.`,
    );
  }
}
