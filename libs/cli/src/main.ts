#!/usr/bin/env node
import { processTerminal } from './process-terminal.js';
import { runCommandLine } from './run.js';

// Whoever reads the output may have seen enough of it, such as `head`; or there is no room for it.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`nestbox: Cannot write the output: ${error.message}\n`);
  process.exit(1);
});
// Nobody is left to be told.
process.stderr.on('error', () => undefined);

const code = await runCommandLine(process.argv.slice(2), process.env, processTerminal());
// Nothing that is left behind, such as a connection that hangs, keeps the command from ending.
process.stdout.write('', () => process.exit(code));
