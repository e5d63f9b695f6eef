import { command, type OptionSpec } from '../../command/define.js';
import { postgresAt } from '../../connections/postgres-connection.js';
import { migrationsOf } from '../../schemas/lib-migrations.js';
import { UsageError } from '../../usage-error.js';
import { MIGRATE_OPTIONS, NO_DRY_RUN, libsOf, refuseDryRun, type MigrateOptions } from './migrate-options.js';

interface SqlOptions extends MigrateOptions {
  readonly foundation: boolean;
}

const NO_FOUNDATION: OptionSpec = {
  flags: '--no-foundation',
  description: 'leave out the schema nestbox, for a database that has it already',
};

export const migrateSql = command<SqlOptions>({
  usage: 'sql',
  summary: "print the SQL of an empty database's schema, ready for psql; connects to nothing",
  options: [...MIGRATE_OPTIONS, NO_FOUNDATION, NO_DRY_RUN],
  examples: [
    'nestbox migrate sql > schema.sql',
    'nestbox migrate sql --lib kv --table app_kv --no-foundation > kv.sql',
  ],
  async run(context, _args, options) {
    refuseDryRun(options);
    // It is never connected to.
    const postgres = postgresAt('postgres://unused');
    context.connections.onClose(() => postgres.close());
    const { foundation } = options;
    if (!foundation && options.lib === 'postgres') {
      throw new UsageError('--no-foundation leaves nothing of --lib postgres, which is the foundation');
    }
    const libs = libsOf(options).filter((lib) => foundation || lib !== 'postgres');
    const all = libs.flatMap((lib) => migrationsOf(lib, postgres, options, context.config));
    for (const [i, migrations] of all.entries()) {
      // What is printed for all libs begins with the foundation; of others the first brings it.
      context.print(await migrations.sql({ foundation: foundation && i === 0 }));
    }
  },
});
