import { runInRootScope } from '@nestbox/core';
import { Migrations, quoteIdentifier, type Postgres, type TransactionalQueryable } from '@nestbox/postgres';
import { KvTable } from './kv-table.js';

export interface KvSchemaOptions {
  /** Whether to create and upgrade the schema, or only to check it. */
  migrate: boolean;
  /** Whether to keep an index that serves `query`. */
  indexValues: boolean;
}

const LIB = 'kv';
const DEFAULT_SCHEMA = 'public';
const DEFAULT_TABLE = 'kv_store';
/** The advisory lock of those who create the index: the letters of "kvindex". */
const INDEX_LOCK = 0x6b_76_69_6e_64_65_78n;

/** The tables and functions of a store. */
export class KvSchema {
  private readonly migrations: Migrations;
  /** First the one with the entries. */
  private readonly tables: readonly string[];

  constructor(
    private readonly postgres: Postgres,
    private readonly table: KvTable,
    private readonly options: KvSchemaOptions,
  ) {
    this.migrations = migrationsOf(postgres, table);
    this.tables = [table.name, table.tombstones, table.history, table.changes, table.log];
  }

  /**
   * Creates or upgrades the schema, on a connection of its own also inside an ambient transaction; or checks it.
   *
   * @throws MigrationRequiredError and the other errors of Migrations
   */
  prepare(): Promise<void> {
    return runInRootScope(async () => {
      if (!this.options.migrate) return this.migrations.check();
      await this.migrations.run();
      // The record of what was applied outlives tables that were dropped by hand.
      while ((await this.presentTables()) === 'none') {
        await this.forget();
        await this.migrations.run();
      }
      if (this.options.indexValues) await this.createIndex();
    });
  }

  /** @throws an error when some are there, but not the one with the entries */
  private async presentTables(): Promise<'all' | 'none'> {
    const [row] = await this.postgres.query(
      `select ${this.tables.map((_, i) => `to_regclass($${i + 1}) is not null as t${i}`).join(', ')}`,
      this.tables,
    );
    const present = this.tables.filter((_, i) => row![`t${i}`] === true);
    if (present.length === 0) return 'none';
    if (row!['t0'] === true) return 'all';
    const { schema, table } = this.table;
    throw new Error(
      `relation "${schema}.${table}" does not exist, while other tables of the store do. ` +
        `Restore it, or drop them to begin anew: ${present.join(', ')}.`,
    );
  }

  /** Forgets what was applied, unless somebody else has just applied it again. */
  private async forget(): Promise<void> {
    const conditions = this.tables.map((_, i) => `to_regclass($${i + 3}) is null`);
    await this.postgres.query(
      `delete from nestbox.migrations where lib = $1 and target = $2 and ${conditions.join(' and ')}`,
      [LIB, this.table.target, ...this.tables],
    );
  }

  private async createIndex(): Promise<void> {
    const index = `${this.table.table}_values`;
    const [found] = await this.postgres.query('select to_regclass($1) is not null as present', [
      this.table.sibling(index),
    ]);
    if (found!['present'] === true) return;
    await this.postgres.transaction(async (transaction) => {
      await transaction.query(`select pg_advisory_xact_lock(${INDEX_LOCK})`);
      await transaction.query(
        `create index if not exists ${quoteIdentifier(index)} on ${this.table.name} using gin (value jsonb_path_ops)`,
      );
    });
  }
}

/** The migrations of a store, as the adapter and the command line run them. */
export function migrationsOf(
  postgres: TransactionalQueryable,
  { schema, table, target }: KvTable,
): Migrations {
  return new Migrations(postgres, {
    lib: LIB,
    target,
    directory: new URL('../../sql/', import.meta.url),
    parameters: { schema, table },
    flags: {
      ...(schema === DEFAULT_SCHEMA ? {} : { schema }),
      ...(table === DEFAULT_TABLE ? {} : { table }),
    },
  });
}

/**
 * The migrations of a store, for programs that create its schema without starting it, such as the `nestbox` command.
 *
 * @param options.schema default: `public`
 * @param options.tableName default: `kv_store`
 * @throws InvalidArgumentError
 */
export function kvMigrations(
  postgres: TransactionalQueryable,
  { schema = DEFAULT_SCHEMA, tableName = DEFAULT_TABLE }: { schema?: string; tableName?: string } = {},
): Migrations {
  return migrationsOf(postgres, new KvTable(schema, tableName));
}
