import { InvalidArgumentError, assertIdentifier } from '@nestbox/core';
import { Migrations, type TransactionalQueryable } from '@nestbox/postgres';

const DEFAULT_SCHEMA = 'serverless';

/**
 * The migrations of the subscriptions, for programs that create the schema without starting it, such as the `nestbox`
 * command. Those of the channels (`channelMigrations` of `@nestbox/channels`) come first.
 *
 * @param options.schema default: `serverless`
 * @throws InvalidArgumentError
 */
export function eventHubMigrations(
  postgres: TransactionalQueryable,
  { schema = DEFAULT_SCHEMA }: { schema?: string } = {},
): Migrations {
  assertIdentifier(schema, 'schema');
  // The name also stands inside function bodies, which end with this.
  if (schema.includes('$function$')) throw new InvalidArgumentError('schema', 'must not contain $function$.');
  return new Migrations(postgres, {
    lib: 'event-hub',
    target: schema,
    directory: new URL('../../sql/', import.meta.url),
    parameters: { schema },
    flags: schema === DEFAULT_SCHEMA ? {} : { schema },
  });
}
