import { backplaneMigrations, channelMigrations } from '@nestbox/channels';
import { eventHubMigrations } from '@nestbox/event-hub';
import { eventStoreMigrations } from '@nestbox/event-store';
import { workflowMigrations } from '@nestbox/workflows';
import { kvMigrations } from '@nestbox/kv';
import { Migrations, Postgres, type MigrationReport, type MigrationStatus } from '@nestbox/postgres';
import type { LibName, MigrateCommand } from './command-line.js';
import type { Output } from './run.js';

/** The exit code of `status` when something is pending, for scripts. */
const PENDING = 3;

/** Runs `nestbox migrate …`; resolves to the exit code. */
export async function migrate(command: MigrateCommand, output: Output): Promise<number> {
  // Printing SQL connects to nothing, so that the URL does not matter.
  const postgres = new Postgres({ url: command.url ?? 'postgres://unused', options: { max: 1 } });
  try {
    const all = command.libs.flatMap((lib) => migrationsOf(lib, postgres, command));
    switch (command.action) {
      case 'sql':
        return await printSql(all, output);
      case 'status':
        return await printStatus(all, command, output);
      case 'run':
        return await run(all, command, output);
    }
  } finally {
    await postgres.close();
  }
}

/** The backplanes that ChannelModule and EventHubModule make. */
const STREAMS = ['channels', 'hub'];

function migrationsOf(
  lib: LibName,
  postgres: Postgres,
  { schema, table, stream }: MigrateCommand,
): Migrations[] {
  switch (lib) {
    case 'postgres':
      return [Migrations.ofFoundation(postgres)];
    case 'kv':
      return [kvMigrations(postgres, { schema, tableName: table })];
    case 'channels':
      return [channelMigrations(postgres, { schema })];
    case 'event-hub':
      return [eventHubMigrations(postgres, { schema })];
    case 'backplane': {
      const names = stream === undefined ? STREAMS : [stream];
      return names.map((name) => backplaneMigrations(postgres, { schema, name }));
    }
    case 'event-store':
      return [eventStoreMigrations(postgres, { schema })];
    case 'workflows':
      return [workflowMigrations(postgres, { schema })];
  }
}

async function printSql(all: readonly Migrations[], output: Output): Promise<number> {
  for (const [i, migrations] of all.entries()) {
    // What is printed for all libs begins with the foundation; of others the first brings it.
    output.out(await migrations.sql({ foundation: i === 0 }));
  }
  return 0;
}

async function printStatus(
  all: readonly Migrations[],
  { json }: MigrateCommand,
  output: Output,
): Promise<number> {
  const statuses: MigrationStatus[] = [];
  for (const migrations of all) statuses.push(await migrations.status());
  if (json) output.out(JSON.stringify(statuses, null, 2));
  else for (const status of statuses) output.out(describeStatus(status));
  return statuses.some(({ pending }) => pending.length > 0) ? PENDING : 0;
}

async function run(
  all: readonly Migrations[],
  { dryRun, json }: MigrateCommand,
  output: Output,
): Promise<number> {
  const reports: MigrationReport[] = [];
  for (const migrations of all) {
    const report = withoutKnown(await migrations.run({ dryRun }), reports);
    reports.push(report);
    if (!json) output.out(describeReport(report));
  }
  if (json) output.out(JSON.stringify(reports, null, 2));
  return 0;
}

/** A dry run leaves the foundation pending, so that each lib after it would name it again. */
function withoutKnown(report: MigrationReport, before: readonly MigrationReport[]): MigrationReport {
  const known = new Set(before.flatMap(({ steps }) => steps.map(nameOf)));
  return { ...report, steps: report.steps.filter((step) => !known.has(nameOf(step))) };
}

function nameOf({ lib, target, file }: MigrationReport['steps'][number]): string {
  return JSON.stringify([lib, target, file]);
}

function describeStatus({
  lib,
  target,
  version,
  latestVersion,
  pending,
  newerRelease,
}: MigrationStatus): string {
  const state =
    newerRelease !== undefined
      ? `left to the newer release ${newerRelease}`
      : pending.length === 0
        ? 'up to date'
        : `pending: ${pending.join(', ')}`;
  return `${lib} on ${target}: version ${version} of ${latestVersion}, ${state}`;
}

function describeReport({ lib, target, dryRun, steps, newerRelease }: MigrationReport): string {
  if (newerRelease !== undefined) return `${lib} on ${target}: left to the newer release ${newerRelease}`;
  if (steps.length === 0) return `${lib} on ${target}: up to date`;
  const verb = dryRun ? 'would apply' : 'applied';
  return steps.map((step) => `${step.lib} on ${step.target}: ${verb} ${step.file}`).join('\n');
}
