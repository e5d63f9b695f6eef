import { runInRootScope } from '@nestbox/core';
import { Migrations, quoteIdentifier, type Postgres } from '@nestbox/postgres';
import { KvTable } from './kv-table.js';

export interface KvSchemaOptions {
  /** Whether to create and upgrade the schema, or only to check it. */
  migrate: boolean;
  /** Whether to keep an index that serves `query`. */
  indexValues: boolean;
}

const LIB = 'kv';
/** The advisory lock of those who create the index: the letters of "kvindex". */
const INDEX_LOCK = 0x6b_76_69_6e_64_65_78n;

/** The tables and functions of a store. */
export class KvSchema {
  private readonly migrations: Migrations;

  constructor(
    private readonly postgres: Postgres,
    private readonly table: KvTable,
    private readonly options: KvSchemaOptions,
  ) {
    this.migrations = migrationsOf(postgres, table);
  }

  /**
   * Creates or upgrades the schema, on a connection of its own also inside an ambient transaction; or checks it.
   *
   * @throws MigrationRequiredError and the other errors of Migrations
   */
  prepare(): Promise<void> {
    return runInRootScope(async () => {
      if (!this.options.migrate) return this.migrations.check();
      const { steps } = await this.migrations.run();
      // The record says that all is there. It outlives a schema that was dropped by hand.
      if (steps.length === 0 && (await this.forgetWhenDropped())) await this.migrations.run();
      if (this.options.indexValues) await this.createIndex();
    });
  }

  /** Forgets the record when none of the tables is there any more; tells whether it did. */
  private async forgetWhenDropped(): Promise<boolean> {
    const { target, schema, table } = this.table;
    const names = ['', '_tombstones', '_history', '_changes', '_log'].map((suffix) =>
      this.table.with(suffix),
    );
    const forgotten = await this.postgres.query(
      `delete from nestbox.migrations
        where lib = $1 and target = $2 and ${names.map((_, i) => `to_regclass($${i + 3}) is null`).join(' and ')}
       returning name`,
      [LIB, target, ...names],
    );
    if (forgotten.length > 0) return true;
    const [found] = await this.postgres.query('select to_regclass($1) is not null as present', [names[0]]);
    if (found!['present'] !== true) {
      throw new Error(
        `relation "${schema}.${table}" does not exist, while other tables of the store do. ` +
          `Restore it, or drop what is left of it ("${table}_changes" and others) to begin anew.`,
      );
    }
    return false;
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
export function migrationsOf(postgres: Postgres, { schema, table, target }: KvTable): Migrations {
  return new Migrations(postgres, {
    lib: LIB,
    target,
    directory: new URL('../../sql/', import.meta.url),
    parameters: { schema, table },
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
  postgres: Postgres,
  { schema = 'public', tableName = 'kv_store' }: { schema?: string; tableName?: string } = {},
): Migrations {
  return migrationsOf(postgres, new KvTable(schema, tableName));
}
