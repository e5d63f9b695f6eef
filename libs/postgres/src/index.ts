export type { Row, Sql } from './driver.js';
export type { CreateListenClient } from './listen-connection.js';
export { Listener, type Listening, type ListenerOptions, type ListenerState } from './listener.js';
export { Lease } from './lease.js';
export { LeaseExpiredError, LeaseUnavailableError } from './leases.errors.js';
export { Leases, type AcquireOptions, type LeaseDatabase } from './leases.js';
export {
  MigrationChecksumError,
  MigrationFailedError,
  MigrationOrderError,
  MigrationRequiredError,
  MigrationRevertError,
  MigrationTooNewError,
} from './migrations.errors.js';
export type { AppliedMigration } from './migration-plan.js';
export type { TemplateParameters } from './migration-template.js';
export { Migrations } from './migrations.js';
export type {
  MigrationReport,
  MigrationStatus,
  MigrationStep,
  MigrationsOptions,
} from './migrations.options.js';
export { OrderedLogError } from './ordered-log.errors.js';
export { OrderedLog, type LogRange, type OrderedLogOptions } from './ordered-log.js';
export {
  CommitOutcomeUnknownError,
  EmbeddedPostgresError,
  MissingDriverError,
  PostgresUnavailableError,
  TransactionClosedError,
  UnsafeTransactionError,
  isConnectionLost,
  isDataError,
  isTransactionConflict,
  type TransactionState,
} from './postgres.errors.js';
export { PostgresHealthIndicator, type PostgresHealthOptions } from './postgres.health.js';
export { PostgresModule, type PostgresModuleExtras } from './postgres.module.js';
export { InjectPostgres, getPostgresToken } from './postgres.tokens.js';
export type { EmbeddedOptions, PostgresOptions } from './postgres.options.js';
export type { PoolFigures } from './pool/database.js';
export { postgresOf, type PostgresSource } from './postgres-of.js';
export { Postgres } from './postgres.js';
export type { JoinedTransaction } from './run-transaction.js';
export type { AmbientQueryable, Queryable, TransactionalQueryable } from './queryable.js';
export { quoteIdentifier, textArray } from './sql-text.js';
export type { TextResult } from './pool/text-statement.js';
export type { StatementCall, TransactionConnection } from './transaction-connection.js';
export { Transaction } from './transaction.js';
export type { TransactionOptions } from './transaction.options.js';
export { Wakeup, type WakeupDatabase, type WakeupOnOptions, type WakeupOptions } from './wakeup.js';
export { WakeupSubscription, type WakeupHandler } from './wakeup-subscription.js';
