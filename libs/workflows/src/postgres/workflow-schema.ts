import { InvalidArgumentError, assertIdentifier } from '@nestbox/core';
import { Migrations, type TransactionalQueryable } from '@nestbox/postgres';

/** The schema of workflows when none is named. */
export const DEFAULT_SCHEMA = 'workflows';

/**
 * The migrations of workflows, for programs that create their schema without starting them, such as the `nestbox`
 * command.
 *
 * @param options.schema default: `workflows`
 * @throws InvalidArgumentError
 */
export function workflowMigrations(
  postgres: TransactionalQueryable,
  { schema = DEFAULT_SCHEMA }: { schema?: string } = {},
): Migrations {
  assertIdentifier(schema, 'schema');
  // The name also stands inside function bodies, which end with this.
  if (schema.includes('$function$')) throw new InvalidArgumentError('schema', 'must not contain $function$.');
  return new Migrations(postgres, {
    lib: 'workflows',
    target: schema,
    directory: new URL('../../sql/', import.meta.url),
    parameters: { schema, claims: 'workflow_claims' },
    flags: schema === DEFAULT_SCHEMA ? {} : { schema },
  });
}
