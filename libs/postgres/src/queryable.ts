import type { Row } from './driver.js';

/** Anything that runs a statement: `Postgres`, a `Transaction`. */
export interface Queryable {
  query<R extends Row = Row>(text: string, params?: readonly unknown[]): Promise<R[]>;
}

/** A {@link Queryable} whose statements join the caller's transaction: `Postgres`. */
export interface AmbientQueryable extends Queryable {
  readonly currentTransaction: { afterCommit(fn: () => void | Promise<void>): void } | undefined;
}

/** A {@link Queryable} that can also run a transaction: `Postgres`. */
export interface TransactionalQueryable extends Queryable {
  transaction<T>(
    fn: (transaction: Queryable) => Promise<T>,
    options?: { isolationLevel?: 'read committed' },
  ): Promise<T>;
}
