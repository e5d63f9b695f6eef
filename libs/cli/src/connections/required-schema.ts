import { MigrationRequiredError } from '@nestbox/postgres';
import { CommandFailedError } from '../command.errors.js';

/** Where a lib's tables are, as `nestbox migrate run` takes it. */
export interface SchemaPlace {
  readonly schema?: string | undefined;
  readonly table?: string | undefined;
}

/**
 * Opens a store that creates nothing.
 *
 * @throws CommandFailedError with the whole command that creates the schema, when it is not there or too old
 */
export async function withSchema<T>(open: () => Promise<T>, place: SchemaPlace): Promise<T> {
  try {
    return await open();
  } catch (error) {
    const required = requiredOf(error);
    if (required === undefined) throw error;
    throw new CommandFailedError(messageFor(required, place), { cause: error });
  }
}

function requiredOf(error: unknown): MigrationRequiredError | undefined {
  let cause = error;
  for (let depth = 0; cause instanceof Error && depth < 8; depth++) {
    if (cause instanceof MigrationRequiredError) return cause;
    ({ cause } = cause);
  }
  return undefined;
}

function messageFor({ lib, target, files }: MigrationRequiredError, { schema, table }: SchemaPlace): string {
  const isAbsent = files.some((file) => file.startsWith('001_'));
  const state = isAbsent
    ? `There is no schema of ${lib} at ${target} in this database yet.`
    : `The schema of ${lib} at ${target} lacks ${files.join(', ')}.`;
  const command = `nestbox migrate run --lib ${lib}${option('--schema', schema)}${option('--table', table)}`;
  return `${state} ${isAbsent ? 'Create' : 'Upgrade'} it: ${command}`;
}

function option(name: string, value: string | undefined): string {
  if (value === undefined) return '';
  // What a shell would take apart is quoted for it.
  return ` ${name} ${/^[\w.:-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`}`;
}
