export type { Row, Sql } from './driver.js';
export {
  CommitOutcomeUnknownError,
  MissingDriverError,
  TransactionClosedError,
  isConnectionLost,
  isDataError,
  type TransactionState,
} from './postgres.errors.js';
export type { EmbeddedOptions, PostgresOptions } from './postgres.options.js';
export { Postgres, type JoinedTransaction, type TransactionOptions } from './postgres.js';
export { quoteIdentifier, textArray } from './sql-text.js';
export type { TransactionConnection } from './transaction-connection.js';
export { Transaction } from './transaction.js';
