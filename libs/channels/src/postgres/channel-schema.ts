import { InvalidArgumentError, assertIdentifier } from '@nestbox/core';
import { Migrations, type Postgres } from '@nestbox/postgres';

/**
 * The migrations of the channels, for programs that create the schema without starting it, such as the `nestbox`
 * command, and for stores whose tables refer to channels.
 *
 * @param options.schema default: `serverless`
 * @throws InvalidArgumentError
 */
export function channelMigrations(
  postgres: Postgres,
  { schema = 'serverless' }: { schema?: string } = {},
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
  });
}
