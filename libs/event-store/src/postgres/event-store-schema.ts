import { InvalidArgumentError, assertIdentifier } from '@nestbox/core';
import { Migrations, type TransactionalQueryable } from '@nestbox/postgres';

/** The sequence that global positions are drawn from. */
export const POSITION_SEQUENCE = 'emt_global_position';

/** The schema of an event store when none is named. */
export const DEFAULT_SCHEMA = 'event_store';

/**
 * The migrations of an event store, for programs that create its schema without starting it, such as the `nestbox`
 * command.
 *
 * @param options.schema default: `event_store`
 * @throws InvalidArgumentError
 */
export function eventStoreMigrations(
  postgres: TransactionalQueryable,
  { schema = DEFAULT_SCHEMA }: { schema?: string } = {},
): Migrations {
  assertIdentifier(schema, 'schema');
  // The name also stands inside function bodies, which end with this.
  if (schema.includes('$function$')) throw new InvalidArgumentError('schema', 'must not contain $function$.');
  return new Migrations(postgres, {
    lib: 'event-store',
    target: schema,
    directory: new URL('../../sql/', import.meta.url),
    parameters: { schema, sequence: POSITION_SEQUENCE },
    flags: schema === DEFAULT_SCHEMA ? {} : { schema },
  });
}
