import { NestboxError } from '@nestbox/core';

/** The command line, the environment or the configuration file cannot be understood. Exit code 2. */
export class UsageError extends NestboxError {
  readonly code = 'USAGE';
}
