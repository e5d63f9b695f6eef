import { InvalidArgumentError, messageOf } from '@nestbox/core';
import { NotFoundError as EventsNotFoundError } from '@nestbox/event-store';
import { ImportLineError } from '@nestbox/kv';
import { RunNotFoundError } from '@nestbox/workflows';
import { Logger } from '@nestjs/common';
import { CommanderError } from 'commander';
import { CommandContext } from './command/context.js';
import { commandPath, type Launch } from './command/define.js';
import { ConfirmationRequiredError, NothingFoundError } from './command.errors.js';
import { ExitCode } from './exit-codes.js';
import { createProgram } from './program.js';
import { redact } from './redact.js';
import type { Terminal } from './terminal.js';
import { UsageError } from './usage-error.js';

/**
 * Runs the `nestbox` command; resolves to the exit code. Failures are one line on `error`, without a stack and without
 * a password; after a wrong usage a second line names the help.
 */
export async function runCommandLine(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  terminal: Terminal,
): Promise<number> {
  Logger.overrideLogger(false);
  let code: number = ExitCode.done;
  let urls: (string | undefined)[] = [env['DATABASE_URL'], env['REDIS_URL'], ...args];

  const launch: Launch = async (options, run) => {
    const context = await CommandContext.of(terminal, env, options);
    urls = [...urls, context.servers.url, context.servers.redisUrl];
    try {
      code = (await run(context)) ?? ExitCode.done;
    } finally {
      await context.connections.close();
    }
  };

  const program = createProgram(terminal, launch);
  try {
    await program.parseAsync(withoutHelpWord(args), { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return ExitCode.done;
    const problem = error instanceof CommanderError ? new UsageError(said(error)) : error;
    terminal.error(`nestbox: ${redact(oneLine(messageOf(problem)), urls)}`);
    if (problem instanceof UsageError) {
      const path = commandPath(program, args);
      terminal.error(`Run nestbox ${path === '' ? '' : `${path} `}--help for the usage.`);
    }
    return exitCodeOf(problem);
  }
}

/** `nestbox help kv get` is `nestbox kv get --help`. */
function withoutHelpWord(args: readonly string[]): string[] {
  const [first, ...rest] = args;
  return first === 'help' ? [...rest, '--help'] : [...args];
}

/** In our own words and quotes. */
function said(error: CommanderError): string {
  return error.message
    .replace(/^error: /, '')
    .replace(/\n\(Did you mean (.*)\?\)$/, '; did you mean $1?')
    .replaceAll(/'([^']*)'/g, '"$1"');
}

function exitCodeOf(error: unknown): number {
  const isWrongUsage = [UsageError, ConfirmationRequiredError, InvalidArgumentError].some(
    (type) => error instanceof type,
  );
  // A wrong line is in the data, which comes later than the usage.
  if (isWrongUsage && !(error instanceof ImportLineError)) return ExitCode.wrongUsage;
  const isAbsent = [NothingFoundError, RunNotFoundError, EventsNotFoundError].some(
    (type) => error instanceof type,
  );
  return isAbsent ? ExitCode.notFound : ExitCode.failed;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*[\r\n]+\s*/g, ' ');
}
