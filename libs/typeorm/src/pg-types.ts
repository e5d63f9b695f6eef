import { createRequire } from 'node:module';
import { MissingDriverError } from '@nestbox/postgres';
import type { DataSource } from 'typeorm';
import { DataSourceMismatchError } from './typeorm.errors.js';

/** How the driver of TypeORM, `pg`, writes parameters, reads values and reports errors. */
export interface PgTypes {
  /** The parameter as it is sent: null, its text, or bytes. */
  prepareValue(value: unknown): string | Uint8Array | null;
  /** Reads the text form of a type, given by its oid. */
  getTypeParser(oid: number, format: 'text'): (text: string) => unknown;
  /** The class of `pg` for what the server reports. */
  DatabaseError: new (message: string, length: number, name: string) => Error;
}

interface PgDriver {
  options: { extra?: { types?: Partial<Pick<PgTypes, 'getTypeParser'>> } };
  /** The module `pg`, as TypeORM has loaded it. */
  postgres: { types: Pick<PgTypes, 'getTypeParser'>; DatabaseError: PgTypes['DatabaseError'] };
}

/**
 * The rules of the data source's own driver, with the types that it was configured with.
 *
 * @throws DataSourceMismatchError when it is no data source of PostgreSQL; MissingDriverError
 */
export function pgTypesOf(dataSource: DataSource): PgTypes {
  const { driver } = dataSource;
  if (!isPgDriver(driver)) {
    throw new DataSourceMismatchError(
      `The data source is of the type '${dataSource.options.type}'. Only data sources of the type 'postgres' can share a transaction with Nestbox.`,
    );
  }
  const { postgres, options } = driver;
  const types = options.extra?.types?.getTypeParser === undefined ? postgres.types : options.extra.types;
  return {
    prepareValue: loadPrepareValue(),
    getTypeParser: (oid, format) => types.getTypeParser!(oid, format),
    DatabaseError: postgres.DatabaseError,
  };
}

function isPgDriver(driver: object): driver is PgDriver {
  return 'postgres' in driver && 'options' in driver && dataSourceType(driver.options) === 'postgres';
}

function dataSourceType(options: unknown): unknown {
  return typeof options === 'object' && options !== null && 'type' in options ? options.type : undefined;
}

function loadPrepareValue(): PgTypes['prepareValue'] {
  try {
    const utils = createRequire(import.meta.url)('pg/lib/utils') as Pick<PgTypes, 'prepareValue'>;
    return utils.prepareValue;
  } catch (error) {
    throw new MissingDriverError('pg', 'npm install pg', { cause: error });
  }
}
