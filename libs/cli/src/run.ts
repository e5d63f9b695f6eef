import { messageOf } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { USAGE, parseCommandLine } from './command-line.js';
import { migrate } from './migrate.js';
import { UsageError } from './usage-error.js';

/** Where a command prints. */
export interface Output {
  out(text: string): void;
  error(text: string): void;
}

/** Runs the `nestbox` command; resolves to the exit code. Failures are one line on `error`, without a stack. */
export async function runCommandLine(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  output: Output,
): Promise<number> {
  Logger.overrideLogger(false);
  try {
    const command = parseCommandLine(args, env);
    if (command === 'help') {
      output.out(USAGE);
      return 0;
    }
    return await migrate(command, output);
  } catch (error) {
    output.error(`nestbox: ${messageOf(error)}`);
    if (!(error instanceof UsageError)) return 1;
    output.error('Run nestbox --help for the usage.');
    return 2;
  }
}
