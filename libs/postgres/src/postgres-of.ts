import { InvalidArgumentError } from '@nestbox/core';
import { isSql, type Sql } from './driver.js';
import type { PostgresOptions } from './postgres.options.js';
import { Postgres } from './postgres.js';

/** What a store takes in place of a {@link Postgres}: a URL, options, or a postgres.js client of yours. */
export type PostgresSource = string | PostgresOptions | Sql | Postgres;

/**
 * The database that was meant, and whether it is the caller's to close. What is made around a client may be closed; the
 * client itself stays open then.
 *
 * @param path what to call it in an error
 * @throws InvalidArgumentError
 */
export function postgresOf(source: PostgresSource, path = 'sql'): { postgres: Postgres; owned: boolean } {
  if (isPostgres(source)) return { postgres: source, owned: false };
  if (isSql(source)) return { postgres: new Postgres({ client: source }), owned: true };
  if (typeof source === 'string' ? source !== '' : isOptions(source))
    return { postgres: new Postgres(source), owned: true };
  throw new InvalidArgumentError(
    path,
    'give a URL like postgres://user:password@host/database, options, a postgres.js client, or a Postgres.',
  );
}

/** Told by its methods: an application may have two copies of the package. */
function isPostgres(source: unknown): source is Postgres {
  if (typeof source !== 'object' || source === null) return false;
  return ['query', 'transaction', 'listen', 'ping'].every(
    (method) => typeof Reflect.get(source, method) === 'function',
  );
}

function isOptions(source: unknown): source is PostgresOptions {
  return typeof source === 'object' && source !== null;
}
