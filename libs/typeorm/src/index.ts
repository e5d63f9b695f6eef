export { NestboxMigration } from './migrations/nestbox.migration.js';
export type { MigrationQueryRunner } from './migrations/query-runner-database.js';
export { revertMigration, runMigrations, type RunMigrationsOptions } from './migrations/run-migrations.js';
export { dataSourceAddress, type DataSourceAddress } from './data-source-address.js';
export type { TypeOrmIsolationLevel } from './isolation-level.js';
export { Transactional, type TransactionalOptions } from './transactional.decorator.js';
export {
  DataSourceMismatchError,
  NoTransactionError,
  RepositoryOutsideRunError,
  TransactionsNotInjectedError,
  UnsupportedInTransactionError,
} from './typeorm.errors.js';
export { InjectTypeOrmTransactions, getTypeOrmTransactionsToken } from './typeorm.tokens.js';
export {
  TypeOrmTransactions,
  type TypeOrmTransactionOptions,
  type TypeOrmTransactionsOptions,
} from './typeorm-transactions.js';
export {
  TypeOrmTransactionsModule,
  type TypeOrmTransactionsModuleExtras,
  type TypeOrmTransactionsModuleOptions,
} from './typeorm-transactions.module.js';
