import { Migrations, type TransactionalQueryable } from '@nestbox/postgres';
import { StreamNames } from './stream-names.js';

const DEFAULT_SCHEMA = 'serverless';

/** The migrations of a backplane's stream, as the backplane and the command line run them. */
export function migrationsOf(
  postgres: TransactionalQueryable,
  { schema, name, target }: StreamNames,
): Migrations {
  return new Migrations(postgres, {
    lib: 'backplane',
    target,
    directory: new URL('../../../sql/backplane/', import.meta.url),
    parameters: { schema, name },
    flags: { ...(schema === DEFAULT_SCHEMA ? {} : { schema }), stream: name },
  });
}

/**
 * The migrations of a backplane, for programs that create its schema without starting it, such as the `nestbox`
 * command.
 *
 * @param options.schema default: `serverless`
 * @param options.name default: `hub`, the backplane of the event hub; that of the channels is called `channels`
 * @throws InvalidArgumentError
 */
export function backplaneMigrations(
  postgres: TransactionalQueryable,
  { schema = DEFAULT_SCHEMA, name = 'hub' }: { schema?: string; name?: string } = {},
): Migrations {
  return migrationsOf(postgres, new StreamNames(schema, name));
}
