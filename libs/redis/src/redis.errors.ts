import { NestboxError, messageOf } from '@nestbox/core';

/** A package that is needed for the chosen options is not installed. */
export class MissingDriverError extends NestboxError {
  readonly code = 'MISSING_DRIVER';

  constructor(
    readonly packageName: string,
    readonly command: string,
    options?: { cause?: unknown },
  ) {
    super(`The package "${packageName}" is needed but could not be loaded. Install it: ${command}`, options);
  }
}

/**
 * Redis cannot be reached, does not answer, or was lost while a command was under way. Trying again later may help.
 */
export class RedisUnavailableError extends NestboxError {
  readonly code = 'REDIS_UNAVAILABLE';

  constructor(
    /** Which Redis: host and port, or what it is called. Never a password. */
    readonly server: string,
    readonly problem: string,
    /** Whether the command was sent, so that Redis may have run it. When false, nothing happened. */
    readonly mayHaveRun: boolean,
    options?: { cause?: unknown },
  ) {
    const outcome = mayHaveRun ? 'The command may or may not have run.' : 'The command was not run.';
    super(`Redis (${server}) ${problem}. ${outcome}`, options);
  }
}

/** What ioredis says when a command that may have been sent is lost with its connection. */
const LOST = [
  'Connection is closed.',
  'Command aborted due to connection close',
  'Cluster is ended.',
  'Socket timeout.',
  'Reached the max retries per request limit',
];

/** What ioredis says when a command could not be sent, or was refused by every node that it was sent to. */
const UNREACHABLE = [
  'None of startup nodes is available',
  'Failed to refresh slots cache.',
  'Too many Cluster redirections.',
  'All sentinels are unreachable',
  'Connection is aborted',
  "Stream isn't writeable",
  "Cluster isn't ready",
];

const SOCKET_CODES = new Set([
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/**
 * The error to report for one that ioredis gave: a {@link RedisUnavailableError} where it is about the connection,
 * else the same, such as an error that Redis itself replied.
 *
 * @param lastError why the connection is down, where that is known
 */
export function translateError(error: unknown, server: string, lastError?: unknown): unknown {
  if (error instanceof RedisUnavailableError || !(error instanceof Error)) return error;
  const { message } = error;
  const cause = lastError ?? error;
  if (message === 'Command timed out') {
    return new RedisUnavailableError(server, 'did not answer in time', true, { cause: error });
  }
  if (LOST.some((text) => message.startsWith(text))) {
    const reason = lastError === undefined ? '' : `: ${messageOf(lastError)}`;
    return new RedisUnavailableError(server, `closed the connection${reason}`, true, { cause });
  }
  const code = (error as { code?: unknown }).code;
  if (UNREACHABLE.some((text) => message.startsWith(text)) || SOCKET_CODES.has(String(code))) {
    return new RedisUnavailableError(server, `cannot be reached: ${messageOf(cause)}`, false, { cause });
  }
  return error;
}
