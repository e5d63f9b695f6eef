import { randomInt } from 'node:crypto';
import type { Postgres } from '@nestbox/postgres';
import type { DataSource } from 'typeorm';
import { DataSourceMismatchError } from './typeorm.errors.js';

const HOLD = `
  select pg_advisory_xact_lock($1::int, $2::int), current_database() as database,
         current_schemas(true)::text as schemas`;

/** Advisory locks belong to one database of one server, so who sees the lock is in the same one. */
const LOOK = `
  select current_database() as database, current_schemas(true)::text as schemas,
         exists (select
                   from pg_catalog.pg_locks
                  where locktype = 'advisory' and granted and objsubid = 2
                    and classid = $1::int::oid and objid = $2::int::oid
                    and database = (select oid from pg_catalog.pg_database where datname = current_database())
                ) as same`;

interface Found {
  database: string;
  schemas: string;
  same: boolean;
}

/**
 * Makes sure that entities are found where Nestbox's connections look for them.
 *
 * @throws DataSourceMismatchError
 */
export async function assertSameDatabase(dataSource: DataSource, postgres: Postgres): Promise<void> {
  if (!dataSource.isInitialized) {
    throw new DataSourceMismatchError(
      'The data source is not initialized. Await dataSource.initialize() before the first transaction.',
    );
  }
  const key = [randomInt(2 ** 31), randomInt(2 ** 31)];
  await postgres.transaction(async (transaction) => {
    const [held] = await transaction.query(HOLD, key);
    const runner = dataSource.driver.createQueryRunner('master');
    let found: Found;
    try {
      [found] = (await runner.query(LOOK, key)) as [Found];
    } finally {
      await runner.release();
    }
    if (!found.same) {
      throw new DataSourceMismatchError(
        `The data source is connected to another database ("${found.database}") than PostgresModule ` +
          `("${String(held!['database'])}"), or to another server. They can only share a transaction in one database: give both the same URL.`,
      );
    }
    if (found.schemas !== held!['schemas']) {
      throw new DataSourceMismatchError(
        `The data source finds tables in the schemas ${found.schemas}, PostgresModule in ${String(held!['schemas'])}. ` +
          'Give both the same search_path, or name the schema of each entity.',
      );
    }
  });
}
