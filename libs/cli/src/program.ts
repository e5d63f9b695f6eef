import { createRequire } from 'node:module';
import { Command } from 'commander';
import { addGroup, type GroupSpec, type Launch } from './command/define.js';
import { channelsGroup } from './commands/hub/channels.group.js';
import { topicsGroup } from './commands/hub/topics.group.js';
import { doctorCommand } from './commands/doctor.command.js';
import { eventsGroup } from './commands/events/events.group.js';
import { kvGroup } from './commands/kv/kv.group.js';
import { migrateGroup } from './commands/migrate/migrate.group.js';
import { projectionsGroup } from './commands/projections/projections.group.js';
import { workflowsGroup } from './commands/workflows/workflows.group.js';
import { EXIT_CODES } from './exit-codes.js';
import { didYouMean } from './nearest.js';
import type { Terminal } from './terminal.js';
import { UsageError } from './usage-error.js';

const GROUPS: readonly GroupSpec[] = [
  migrateGroup,
  kvGroup,
  eventsGroup,
  projectionsGroup,
  workflowsGroup,
  channelsGroup,
  topicsGroup,
];

const HELP_WIDTH = 110;

/** The command line, ready to be parsed. Failures are thrown. */
export function createProgram(terminal: Terminal, launch: Launch): Command {
  const program = new Command('nestbox')
    .description('What Nestbox keeps in PostgreSQL and Redis, without an application.')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, sortOptions: false })
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      // What is wrong is thrown, and said in one line by whoever catches it.
      writeErr: () => undefined,
      getOutHelpWidth: () => terminal.columns ?? HELP_WIDTH,
      getOutHasColors: () => false,
    })
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this')
    .option('--url <url>', 'the database; default: DATABASE_URL, then the configuration file')
    .option(
      '--redis-url <url>',
      'Redis; several nodes of a cluster with commas; default: REDIS_URL, then the file',
    )
    .option('--config <file>', 'default: nestbox.config.json, where there is one')
    .option('--json', 'print JSON for programs');
  for (const group of GROUPS) addGroup(program, group, launch);
  doctorCommand.addTo(program, launch);
  program
    .helpCommand(false)
    .usage(usage())
    .addHelpText('after', `\nnestbox <command> --help says more.\n\n${EXIT_CODES}`)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      const [word] = program.args;
      if (word === undefined) program.outputHelp();
      else throw unknown(word, program);
    });
  return program;
}

function usage(): string {
  const lines = GROUPS.map(
    ({ name, commands }) => `${name} <${commands.map((each) => each.name).join(' | ')}>`,
  );
  return [...lines, 'doctor'].join('\n       nestbox ');
}

function unknown(word: string, program: Command): UsageError {
  if (word.startsWith('-')) {
    const options = program.options.flatMap(({ long }) => long ?? []);
    return new UsageError(`unknown option "${word}"${didYouMean(word, options)}`);
  }
  const names = program.commands.map((each) => each.name());
  const hint = didYouMean(word, names) || '; nestbox --help lists all';
  return new UsageError(`unknown command "${word}"${hint}`);
}

function version(): string {
  const manifest = createRequire(import.meta.url)('../package.json') as { version: string };
  return manifest.version;
}
