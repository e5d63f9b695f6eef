import { Command, Option } from 'commander';
import { didYouMean } from '../nearest.js';
import { UsageError } from '../usage-error.js';
import type { CommandContext, GlobalOptions } from './context.js';

export interface OptionSpec {
  /** Such as `--limit <n>`. */
  readonly flags: string;
  readonly description: string;
  /** Reads its value; called again with what came before where the option is repeated. Default: the text. */
  read?(this: void, text: string, before?: unknown): unknown;
  /** Known, to say where it belongs, but not shown. */
  readonly isHidden?: boolean;
}

/** A command, as its group is made of them. */
export interface CommandSpec<Options> {
  /** With its arguments: `get <key>`. */
  readonly usage: string;
  /** One line. */
  readonly summary: string;
  /** What else there is to say in its help. */
  readonly details?: string;
  readonly options?: readonly OptionSpec[];
  /** Whole command lines. */
  readonly examples: readonly string[];
  /** @returns the exit code; undefined for 0 */
  run(context: CommandContext, args: readonly string[], options: Options): Promise<number | void>;
}

/** A word with commands below it: `kv`. */
export interface GroupSpec {
  readonly name: string;
  readonly summary: string;
  readonly details?: string;
  readonly commands: readonly Runnable[];
}

/** Runs a command with all that it needs. */
export type Launch = (
  options: GlobalOptions,
  run: (context: CommandContext) => Promise<number | void>,
) => Promise<void>;

/** A {@link CommandSpec} whose options are checked by nobody but itself. */
export interface Runnable {
  readonly name: string;
  addTo(parent: Command, launch: Launch): Command;
}

/** To be asked before something is destroyed. */
export const YES: OptionSpec = { flags: '--yes', description: 'do not ask' };

export function command<Options extends object = object>(spec: CommandSpec<Options>): Runnable {
  const [name = ''] = spec.usage.split(' ');
  return {
    name,
    addTo(parent, launch) {
      const made = parent.command(spec.usage).summary(spec.summary);
      made.description(describe(spec));
      for (const option of spec.options ?? []) made.addOption(optionOf(option));
      made.addHelpText('after', `\nExamples:\n${spec.examples.map((line) => `  ${line}`).join('\n')}`);
      // Called with the arguments, the options and the command.
      made.action(async (...passed: unknown[]) => {
        const given = (passed.slice(0, -2) as (string | string[] | undefined)[]).flat();
        const args = given.filter((arg) => arg !== undefined);
        const options = made.optsWithGlobals<Options & GlobalOptions>();
        await launch(options, (context) => spec.run(context, args, options));
      });
      return made;
    },
  };
}

export function addGroup(
  program: Command,
  { name, summary, details, commands }: GroupSpec,
  launch: Launch,
): void {
  const group = program.command(name).summary(summary);
  group.description(describe({ summary, details }));
  const names = commands.map((each) => each.name);
  group.usage(`<${names.join(' | ')}> [options]`);
  for (const each of commands) each.addTo(group, launch);
  // Only called when the word behind is none of the commands.
  group
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      const [word] = group.args;
      throw new UsageError(
        `nestbox ${name} needs ${listOf(names)}, not ${word === undefined ? 'nothing' : `"${word}"`}` +
          (word === undefined ? '' : didYouMean(word, names)),
      );
    });
}

/** The command that a command line means, as far as it is understood: `kv get`. */
export function commandPath(program: Command, args: readonly string[]): string {
  const path: string[] = [];
  let at = program;
  for (const arg of args) {
    const next = at.commands.find((each) => each.name() === arg);
    if (next === undefined) continue;
    path.push(arg);
    at = next;
  }
  return path.join(' ');
}

/** As a sentence, and what else there is to say below. */
function describe({ summary, details }: { summary: string; details?: string }): string {
  const sentence = `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
  return details === undefined ? sentence : `${sentence}\n\n${details}`;
}

function optionOf({ flags, description, read, isHidden = false }: OptionSpec): Option {
  const option = new Option(flags, description);
  if (read !== undefined) option.argParser<unknown>((text, before) => read(text, before));
  if (isHidden) option.hideHelp();
  return option;
}

function listOf(names: readonly string[]): string {
  if (names.length === 1) return names[0]!;
  return `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`;
}
