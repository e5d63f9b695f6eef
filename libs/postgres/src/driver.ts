import { createRequire } from 'node:module';
import type postgres from 'postgres';
import { MissingDriverError } from './postgres.errors.js';

/** A postgres.js client. */
export type Sql = postgres.Sql;

/** The options of postgres.js. */
export type DriverOptions = postgres.Options<Record<string, postgres.PostgresType>>;

/** A row as the driver gives it. */
export type Row = Record<string, unknown>;

type Driver = typeof postgres;

/**
 * Loads postgres.js when the first client is created, so that an application which passes its own client, or uses
 * no PostgreSQL at all, need not install it. Loading is synchronous because `Postgres.client` is a getter. It gives
 * the package's CommonJS build; that an application imports the other build is harmless, since clients and errors
 * are told by their shape.
 */
export function loadDriver(): Driver {
  try {
    return createRequire(import.meta.url)('postgres') as Driver;
  } catch (error) {
    throw new MissingDriverError('postgres', 'npm install postgres', { cause: error });
  }
}

/** Whether a value is a postgres.js client, told by the methods that we call. */
export function isSql(value: unknown): value is Sql {
  if (typeof value !== 'function') return false;
  return ['unsafe', 'begin', 'end'].every((method) => typeof Reflect.get(value, method) === 'function');
}
