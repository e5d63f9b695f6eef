import { parseArgs } from 'node:util';
import { UsageError } from './usage-error.js';

/** What `nestbox migrate …` was asked to do. */
export interface MigrateCommand {
  action: 'run' | 'sql' | 'status';
  libs: readonly LibName[];
  /** Undefined where only SQL is printed. */
  url: string | undefined;
  /** Undefined for what each lib has by default. */
  schema: string | undefined;
  table: string | undefined;
  stream: string | undefined;
  dryRun: boolean;
  json: boolean;
}

/** In the order in which they build on each other. */
export const LIBS = [
  'postgres',
  'kv',
  'channels',
  'event-hub',
  'backplane',
  'event-store',
  'workflows',
] as const;

export type LibName = (typeof LIBS)[number];

export const USAGE = `Usage: nestbox migrate <run | sql | status> [options]

  run      apply what is pending
  sql      print the SQL of an empty database's schema, ready for psql; connects to nothing
  status   print what is applied and what is pending; changes nothing

Options:
  --lib <name>       ${LIBS.join(', ')}; default: all
  --url <url>        the database; default: the environment variable DATABASE_URL
  --schema <name>    default: public for kv, serverless for channels, event-hub and backplane,
                     event_store for event-store, workflows for workflows
  --table <name>     the key-value table; default: kv_store
  --stream <name>    the backplane's; default: those of the modules, channels and hub
  --dry-run          with run: say what would be applied, and change nothing
  --json             print JSON for programs
  --help             print this

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 (status) something is pending`;

/**
 * Reads the command line.
 *
 * @returns `help` when it asks for the usage
 * @throws UsageError
 */
export function parseCommandLine(args: readonly string[], env: NodeJS.ProcessEnv): MigrateCommand | 'help' {
  const { values, positionals } = parse(args);
  if (values.help === true) return 'help';
  const [command, action, ...rest] = positionals;
  if (command !== 'migrate')
    throw new UsageError(`unknown command ${quote(command)}; try: nestbox migrate status`);
  if (action !== 'run' && action !== 'sql' && action !== 'status') {
    throw new UsageError(`nestbox migrate needs run, sql or status, not ${quote(action)}`);
  }
  if (rest.length > 0) throw new UsageError(`unexpected argument ${quote(rest[0])}`);
  const url = values.url ?? env['DATABASE_URL'];
  if (action !== 'sql' && (url === undefined || url === '')) {
    throw new UsageError('no database is given; pass --url or set DATABASE_URL');
  }
  if (values['dry-run'] === true && action !== 'run') throw new UsageError('--dry-run goes with migrate run');
  return {
    action,
    libs: libsOf(values.lib),
    url,
    schema: values.schema,
    table: values.table,
    stream: values.stream,
    dryRun: values['dry-run'] ?? false,
    json: values.json ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        lib: { type: 'string' },
        url: { type: 'string' },
        schema: { type: 'string' },
        table: { type: 'string' },
        stream: { type: 'string' },
        'dry-run': { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function libsOf(name: string | undefined): readonly LibName[] {
  if (name === undefined) return LIBS;
  const lib = LIBS.find((known) => known === name);
  if (lib === undefined) throw new UsageError(`unknown lib ${quote(name)}; known are: ${LIBS.join(', ')}`);
  return [lib];
}

function quote(text: string | undefined): string {
  return text === undefined ? 'nothing' : `"${text}"`;
}
