import { InvalidArgumentError, parseDuration, type Duration } from '@nestbox/core';
import { Postgres, type PostgresOptions, type Sql } from '@nestbox/postgres';
import { assertLimit } from '../adapter-support.js';
import { KvTable } from './kv-table.js';

/** Where the store is: a connection string, its parts, or a client. */
export type PostgresConnection =
  | { connectionString: string }
  | {
      host?: string;
      port?: number;
      database?: string;
      user?: string;
      password?: string;
      /** `true` and `'require'` encrypt; an object has the options of Node's `tls.connect`. Default: false. */
      ssl?: boolean | 'require' | 'allow' | 'prefer' | 'verify-full' | object;
    }
  /** A postgres.js client, or a `Postgres` of @nestbox/postgres. It is shared: never closed by the adapter. */
  | { client: Sql | Postgres };

/** The table that a store has in PostgreSQL. */
export interface PostgresStoreOptions {
  /** At most 50 bytes; at most 35 where `backup` is used. Default: `kv_store`. */
  tableName?: string;
  /** Created when it does not exist. Default: `public`. */
  schema?: string;
  /** Whether to create and upgrade the tables; else they are checked. Default: true. */
  migrate?: boolean;
  /**
   * Changes are kept for those who watch at least so long. They are logged only as long as somebody has watched
   * within that time, and at the beginning of a new store. `false` refuses to watch. Default: `{ retention: '1h' }`.
   */
  changes?: { retention?: Duration } | false;
  /** How often expired entries are deleted. They are invisible before, too. Default: `'30s'`. */
  sweepInterval?: Duration;
  /** How long the version of a deleted key is kept, to count on from there. Default: `'1h'`. */
  tombstoneTtl?: Duration;
  /** Whether to index the values for `query` (GIN, jsonb_path_ops), which makes writes dearer. Default: false. */
  indexValues?: boolean;
  /** Versions of a key that `history` keeps, with versioning enabled. Default: 1,000. */
  maxHistory?: number;
}

/** Options of a store on PostgreSQL: the connection, and the table. */
export type PostgresAdapterOptions = PostgresConnection & PostgresStoreOptions;

/** The options with their defaults, in ms. */
export interface PostgresSettings {
  table: KvTable;
  migrate: boolean;
  indexValues: boolean;
  /** Undefined where changes are not watched. */
  retentionMs: number | undefined;
  sweepMs: number;
  tombstoneMs: number;
  maxHistory: number;
}

/** @throws InvalidArgumentError */
export function settingsOf(options: PostgresStoreOptions): PostgresSettings {
  const {
    tableName = 'kv_store',
    schema = 'public',
    migrate = true,
    indexValues = false,
    maxHistory = 1000,
  } = options;
  const { changes = {}, sweepInterval = '30s', tombstoneTtl = '1h' } = options;
  assertLimit(maxHistory, 'maxHistory');
  if (maxHistory > 2 ** 31 - 1) throw new InvalidArgumentError('maxHistory', 'must be below 2^31.');
  return {
    table: new KvTable(schema, tableName),
    migrate,
    indexValues,
    retentionMs:
      changes === false ? undefined : parseDuration(changes.retention ?? '1h', 'changes.retention'),
    sweepMs: parseDuration(sweepInterval, 'sweepInterval'),
    tombstoneMs: parseDuration(tombstoneTtl, 'tombstoneTtl'),
    maxHistory,
  };
}

/**
 * The database, and whether it is ours to close.
 *
 * @throws InvalidArgumentError
 */
export function databaseOf(options: PostgresConnection): { postgres: Postgres; owned: boolean } {
  if ('client' in options && options.client !== undefined) {
    const { client } = options;
    // What is made around a client is ours; the client is not.
    return isPostgres(client)
      ? { postgres: client, owned: false }
      : { postgres: new Postgres({ client }), owned: true };
  }
  if ('connectionString' in options && options.connectionString !== undefined) {
    if (typeof options.connectionString !== 'string' || options.connectionString === '') {
      throw new InvalidArgumentError(
        'connectionString',
        'must be a URL like postgres://user:password@host/database.',
      );
    }
    return { postgres: new Postgres(options.connectionString), owned: true };
  }
  const { host, port, database, user, password, ssl } = options as Extract<
    PostgresConnection,
    { host?: string }
  >;
  if ([host, port, database, user].every((part) => part === undefined)) {
    throw new InvalidArgumentError(
      'options',
      'give connectionString; or host, database, user and password; or client.',
    );
  }
  const given = Object.entries({ host, port, database, user, password, ssl });
  const driver = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  return { postgres: new Postgres({ options: driver as PostgresOptions['options'] }), owned: true };
}

/** A `Postgres`, told by its methods: an application may have two copies of the package. */
function isPostgres(client: Sql | Postgres): client is Postgres {
  return (['query', 'transaction', 'listen', 'ping'] as const).every(
    (method) => typeof Reflect.get(client, method) === 'function',
  );
}
