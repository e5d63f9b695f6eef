import type { OptionSpec } from '../../command/define.js';
import { didYouMean } from '../../nearest.js';
import { LIBS, type LibName, type SchemaOptions } from '../../schemas/lib-migrations.js';
import { UsageError } from '../../usage-error.js';

export interface MigrateOptions extends SchemaOptions {
  readonly lib?: LibName | undefined;
  readonly dryRun?: boolean | undefined;
}

export const MIGRATE_OPTIONS: readonly OptionSpec[] = [
  { flags: '--lib <name>', description: `${LIBS.join(', ')}; default: all`, read: readLib },
  {
    flags: '--schema <name>',
    description:
      'default: public for kv, serverless for channels, event-hub and backplane, event_store for event-store, workflows for workflows',
  },
  { flags: '--table <name>', description: 'the key-value table; default: kv_store' },
  {
    flags: '--stream <name>',
    description: "the backplane's; default: those of the modules, channels and hub",
  },
];

/** For those that change nothing anyway. */
export const NO_DRY_RUN: OptionSpec = {
  flags: '--dry-run',
  description: 'goes with migrate run',
  isHidden: true,
};

/** @throws UsageError */
export function refuseDryRun({ dryRun }: MigrateOptions): void {
  if (dryRun === true) throw new UsageError('--dry-run goes with migrate run');
}

export function libsOf({ lib }: MigrateOptions): readonly LibName[] {
  return lib === undefined ? LIBS : [lib];
}

function readLib(name: string): LibName {
  const lib = LIBS.find((known) => known === name);
  if (lib !== undefined) return lib;
  throw new UsageError(`unknown lib "${name}"${didYouMean(name, LIBS) || ''}; known are: ${LIBS.join(', ')}`);
}
