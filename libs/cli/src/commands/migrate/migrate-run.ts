import type { MigrationReport } from '@nestbox/postgres';
import { command } from '../../command/define.js';
import { migrationsOf } from '../../schemas/lib-migrations.js';
import { MIGRATE_OPTIONS, libsOf, type MigrateOptions } from './migrate-options.js';

export const migrateRun = command<MigrateOptions>({
  usage: 'run',
  summary: 'apply what is pending',
  details: 'Under a lock: start it anywhere, any number of times. What was applied before is left alone.',
  options: [
    ...MIGRATE_OPTIONS,
    { flags: '--dry-run', description: 'say what would be applied, and change nothing' },
  ],
  examples: [
    'nestbox migrate run --dry-run',
    'nestbox migrate run',
    'nestbox migrate run --lib kv --table app_kv',
  ],
  async run(context, _args, options) {
    const { dryRun = false } = options;
    const postgres = await context.connections.postgres();
    const reports: MigrationReport[] = [];
    for (const migrations of libsOf(options).flatMap((lib) =>
      migrationsOf(lib, postgres, options, context.config),
    )) {
      const report = withoutKnown(await migrations.run({ dryRun }), reports);
      reports.push(report);
      if (!context.isJson) context.print(describe(report));
    }
    if (context.isJson) context.printJson(reports);
  },
});

/** A dry run leaves the foundation pending, so that each lib after it would name it again. */
function withoutKnown(report: MigrationReport, before: readonly MigrationReport[]): MigrationReport {
  const known = new Set(before.flatMap(({ steps }) => steps.map(nameOf)));
  return { ...report, steps: report.steps.filter((step) => !known.has(nameOf(step))) };
}

function nameOf({ lib, target, file }: MigrationReport['steps'][number]): string {
  return JSON.stringify([lib, target, file]);
}

function describe({ lib, target, dryRun, steps, newerRelease }: MigrationReport): string {
  if (newerRelease !== undefined) return `${lib} on ${target}: left to the newer release ${newerRelease}`;
  if (steps.length === 0) return `${lib} on ${target}: up to date`;
  const verb = dryRun ? 'would apply' : 'applied';
  return steps.map((step) => `${step.lib} on ${step.target}: ${verb} ${step.file}`).join('\n');
}
