import { inspect } from 'node:util';
import { NestboxError } from './nestbox-error.js';

/**
 * An argument was refused before any I/O.
 *
 * `path` names the offending part of the argument, such as `value.items[3].price`.
 */
export class InvalidArgumentError extends NestboxError {
  readonly code = 'INVALID_ARGUMENT';

  constructor(
    readonly path: string,
    readonly problem: string,
    options?: { cause?: unknown },
  ) {
    super(`Invalid ${path}: ${problem}`, options);
  }
}

/** The chosen backend cannot do what was asked. */
export class UnsupportedOperationError extends NestboxError {
  readonly code = 'UNSUPPORTED_OPERATION';

  constructor(
    readonly operation: string,
    readonly backend: string,
    readonly advice: string,
  ) {
    super(`${operation} is not supported by ${backend}. ${advice}`);
  }
}

/** The object was closed; nothing can be asked of it any more. */
export class ClosedError extends NestboxError {
  readonly code = 'CLOSED';

  constructor(readonly what: string) {
    super(`${what} is closed. Call it before the application shuts down, or create a new one.`);
  }
}

/** More calls wait than the configured limit allows; the caller should slow down. */
export class OverloadedError extends NestboxError {
  readonly code = 'OVERLOADED';

  constructor(
    readonly what: string,
    readonly limit: number,
  ) {
    super(`${what} already has ${limit} calls waiting. Send fewer at once, or raise the limit.`);
  }
}

/** Something did not answer within its time limit. */
export class TimeoutError extends NestboxError {
  readonly code = 'TIMEOUT';

  constructor(
    readonly what: string,
    readonly timeoutMs: number,
  ) {
    super(`${what} did not answer within ${timeoutMs} ms.`);
  }
}

/**
 * The text of any thrown value, for messages that quote a cause. Errors are told by their shape, since those that
 * come from Node itself are no `instanceof Error` in another realm.
 */
export function messageOf(error: unknown): string {
  if (typeof error === 'string') return error;
  if (typeof error !== 'object' || error === null) return inspect(error);
  const { message, errors, name } = error as { message?: unknown; errors?: unknown; name?: unknown };
  if (typeof message !== 'string') return inspect(error);
  if (message !== '') return message;
  // Node reports a host whose addresses all refuse as one error without a message of its own.
  if (Array.isArray(errors) && errors.length > 0) return errors.map(messageOf).join('; ');
  return String(name);
}
