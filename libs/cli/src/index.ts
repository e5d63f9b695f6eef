export { ExitCode } from './exit-codes.js';
export { runCommandLine } from './run.js';
export type { Output, Terminal } from './terminal.js';
export { UsageError } from './usage-error.js';
