import type { MigrationStatus } from '@nestbox/postgres';
import { command } from '../../command/define.js';
import { ExitCode } from '../../exit-codes.js';
import { migrationsOf } from '../../schemas/lib-migrations.js';
import { MIGRATE_OPTIONS, NO_DRY_RUN, libsOf, refuseDryRun, type MigrateOptions } from './migrate-options.js';

export const migrateStatus = command<MigrateOptions>({
  usage: 'status',
  summary: 'print what is applied and what is pending; changes nothing',
  details: 'The exit code is 3 when something is pending.',
  options: [...MIGRATE_OPTIONS, NO_DRY_RUN],
  examples: ['nestbox migrate status', 'nestbox migrate status --lib workflows --json'],
  async run(context, _args, options) {
    refuseDryRun(options);
    const postgres = await context.connections.postgres();
    const statuses: MigrationStatus[] = [];
    for (const lib of libsOf(options)) {
      for (const migrations of migrationsOf(lib, postgres, options, context.config)) {
        statuses.push(await migrations.status());
      }
    }
    if (context.isJson) context.printJson(statuses);
    else for (const status of statuses) context.print(describe(status));
    return statuses.some(({ pending }) => pending.length > 0) ? ExitCode.attention : ExitCode.done;
  },
});

function describe({ lib, target, version, latestVersion, pending, newerRelease }: MigrationStatus): string {
  const state =
    newerRelease !== undefined
      ? `left to the newer release ${newerRelease}`
      : pending.length === 0
        ? 'up to date'
        : `pending: ${pending.join(', ')}`;
  return `${lib} on ${target}: version ${version} of ${latestVersion}, ${state}`;
}
