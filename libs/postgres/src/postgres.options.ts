import { InvalidArgumentError, type Duration } from '@nestbox/core';
import { isSql, type DriverOptions, type Sql } from './driver.js';

/** How to reach PostgreSQL: by `url`, `options`, `client` or `embedded`. */
export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`; may list several hosts, separated by commas. */
  url?: string;
  /**
   * Options of postgres.js, beside `url` or `embedded`, or alone: host, port, database, user, password, ssl, max… Its
   * `transform` is for `Postgres.client` only.
   */
  options?: DriverOptions;
  /**
   * A postgres.js client of yours. It is shared: never closed by us. It keeps its own pool, with postgres.js's own
   * ways to lose a connection; see the README.
   */
  client?: Sql;
  /**
   * A direct connection for LISTEN, and for locks of a session, where `url` goes through PgBouncer in transaction mode.
   * Default: `url`.
   */
  listenUrl?: string;
  /** Whether statements are prepared by name. `false` for PgBouncer in transaction mode. Default: true. */
  prepare?: boolean;
  /** A development server that we start; refused under NODE_ENV=production. */
  embedded?: EmbeddedOptions;
  /** How long `init` tries to reach a server that does not answer. Default: 10 s. */
  connectTimeout?: Duration;
}

/** Where the embedded PostgreSQL keeps its data, and how it is reached. */
export interface EmbeddedOptions {
  /** Where the data is kept between starts; created when absent. */
  dataDir: string;
  /** Default: the port that it had last where that is free, else any free one. */
  port?: number;
}

/**
 * @throws InvalidArgumentError when the options contradict each other or say nothing
 */
export function checkOptions(given: PostgresOptions | string): PostgresOptions {
  const options = typeof given === 'string' ? { url: given } : given;
  const { url, options: driver, client, embedded } = options;
  const ways = [url, client, embedded].filter((way) => way !== undefined).length;
  if (ways > 1 || (ways === 0 && driver === undefined)) {
    throw new InvalidArgumentError(
      'options',
      'give exactly one of `url`, `client` and `embedded`, or `options` with the address.',
    );
  }
  if (client !== undefined && driver !== undefined) {
    throw new InvalidArgumentError('options.options', 'is of no use beside `client`, which has its own.');
  }
  if (client !== undefined && !isSql(client)) {
    throw new InvalidArgumentError(
      'options.client',
      'is not a client of the postgres package (postgres.js).',
    );
  }
  if (client !== undefined && renamesColumns(client)) {
    throw new InvalidArgumentError(
      'options.client',
      'has a `transform` that changes columns or rows, which our own statements rely on. Pass one without.',
    );
  }
  return options;
}

function renamesColumns({ options: { transform } }: Sql): boolean {
  return (
    transform.column.from !== undefined ||
    transform.row.from !== undefined ||
    transform.value.from !== undefined
  );
}
