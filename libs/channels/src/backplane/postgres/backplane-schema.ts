import { Migrations, type Postgres } from '@nestbox/postgres';
import { StreamNames } from './stream-names.js';

/** The migrations of a backplane's stream, as the backplane and the command line run them. */
export function migrationsOf(postgres: Postgres, { schema, name, target }: StreamNames): Migrations {
  return new Migrations(postgres, {
    lib: 'backplane',
    target,
    directory: new URL('../../../sql/backplane/', import.meta.url),
    parameters: { schema, name },
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
  postgres: Postgres,
  { schema = 'serverless', name = 'hub' }: { schema?: string; name?: string } = {},
): Migrations {
  return migrationsOf(postgres, new StreamNames(schema, name));
}
