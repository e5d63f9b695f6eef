export { parseCommandLine, type LibName, type MigrateCommand } from './command-line.js';
export { runCommandLine, type Output } from './run.js';
export { UsageError } from './usage-error.js';
