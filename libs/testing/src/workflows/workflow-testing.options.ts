import type { Duration } from '@nestbox/core';
import type { PostgresSource } from '@nestbox/postgres';
import type { WorkflowSettings } from '@nestbox/workflows';

/** Where the runs of a test are kept, and how long they may take. */
export interface WorkflowTestingOptions extends WorkflowSettings {
  /**
   * Where the runs are: `'memory'`; `'postgres'` for the connection of the application's PostgresModule, so that
   * transactions are shared; or a connection string, a client of postgres.js or a `Postgres`. Default: `'memory'`.
   */
  store?: PostgresSource;
  /** The name of the PostgresModule, with the store `'postgres'`. Default: the one without a name. */
  connection?: string;
  /** On PostgreSQL. It stays. Default: one that is made for the test, and dropped when it is closed. */
  schema?: string;
  /** The name of the WorkflowModule that is tested. Default: the one without a name. */
  name?: string;
  /** For how long runs may be at it before `settled` and `skipTime` fail. Default: 10 s. */
  settleTimeout?: Duration;
}
