import { NestboxError } from '@nestbox/core';

/** The command line cannot be understood. */
export class UsageError extends NestboxError {
  readonly code = 'USAGE';
}
