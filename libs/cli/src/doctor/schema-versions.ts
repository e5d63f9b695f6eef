import { messageOf } from '@nestbox/core';
import type { MigrationStatus, Postgres } from '@nestbox/postgres';
import type { ConfigFile } from '../config/config-file.js';
import { LIBS, migrationsOf, type LibName } from '../schemas/lib-migrations.js';
import { ok, problem, warning, type Finding } from './finding.js';

/** What is there of a lib. */
export interface LibState {
  readonly lib: LibName;
  /** Such as `public.kv_store`. */
  readonly target: string;
  readonly isThere: boolean;
}

/** Whether the schema of each lib is as this release needs it. */
export async function schemaVersions(
  postgres: Postgres,
  config: ConfigFile,
): Promise<{ findings: Finding[]; states: LibState[] }> {
  const findings: Finding[] = [];
  const states: LibState[] = [];
  for (const lib of LIBS) {
    for (const migrations of migrationsOf(lib, postgres, {}, config)) {
      try {
        const status = await migrations.status();
        states.push({ lib, target: status.target, isThere: status.version > 0 });
        findings.push(findingOf(lib, status));
      } catch (error) {
        findings.push(problem(`schema.${lib}`, messageOf(error), 'Nothing was changed by this command.'));
      }
    }
  }
  if (states.length > 0 && states.every(({ isThere }) => !isThere)) {
    const advice = 'Create it: nestbox migrate run. Or check that the URL is the right one.';
    return { findings: [warning('schema', 'nothing of Nestbox is in this database', advice)], states };
  }
  return { findings, states };
}

function findingOf(lib: LibName, status: MigrationStatus): Finding {
  const { target, version, latestVersion, pending, newerRelease } = status;
  const check = `schema.${lib}`;
  if (newerRelease !== undefined) {
    return warning(
      check,
      `${target} was migrated by the newer release ${newerRelease}`,
      `Use version ${newerRelease} of this command, too.`,
    );
  }
  if (version === 0) return ok(check, `${target} is not there, as where it is not used`);
  if (pending.length === 0) return ok(check, `${target} is at version ${version}, which is the newest`);
  return problem(
    check,
    `${target} is at version ${version} of ${latestVersion}; pending: ${pending.join(', ')}`,
    `Apply it: nestbox migrate run --lib ${lib}`,
  );
}
