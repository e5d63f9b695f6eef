import { InvalidArgumentError, assertIdentifier } from '@nestbox/core';
import { Migrations, type TransactionalQueryable } from '@nestbox/postgres';

const DEFAULT_SCHEMA = 'serverless';

/**
 * The migrations of the channels, for programs that create the schema without starting it, such as the `nestbox`
 * command, and for stores whose tables refer to channels.
 *
 * @param options.schema default: `serverless`
 * @throws InvalidArgumentError
 */
export function channelMigrations(
  postgres: TransactionalQueryable,
  { schema = DEFAULT_SCHEMA }: { schema?: string } = {},
): Migrations {
  assertIdentifier(schema, 'schema');
  // The name also stands inside function bodies, which end with these.
  if (/\$(function|do)\$/.test(schema)) {
    throw new InvalidArgumentError('schema', 'must not contain $function$ or $do$.');
  }
  return new Migrations(postgres, {
    lib: 'channels',
    target: schema,
    directory: new URL('../../sql/channels/', import.meta.url),
    parameters: { schema },
    flags: schema === DEFAULT_SCHEMA ? {} : { schema },
  });
}
