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

/** What became of a transaction. `failed` and `lost` mean that PostgreSQL rolls it back. */
export type TransactionState = 'open' | 'committed' | 'rolled back' | 'failed' | 'lost';

/**
 * Something was asked of a transaction (or savepoint) that is over, or that a failed statement or a lost
 * connection has doomed. Nothing was sent to the server. `cause` is the error that doomed it, if any.
 */
export class TransactionClosedError extends NestboxError {
  readonly code = 'TRANSACTION_CLOSED';

  constructor(
    readonly state: Exclude<TransactionState, 'open'>,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/**
 * The connection was lost after COMMIT was sent and before its answer came: the transaction may or may not have
 * been committed. Look at the data before doing it again.
 */
export class CommitOutcomeUnknownError extends NestboxError {
  readonly code = 'COMMIT_OUTCOME_UNKNOWN';

  constructor(cause: unknown) {
    super(
      `The connection was lost during COMMIT, so the transaction may or may not have been committed ` +
        `(${messageOf(cause)}). Check the data before you try again.`,
      { cause },
    );
  }
}

/** A statement began a transaction on a pooled connection and left it open; the connection was thrown away. */
export class UnsafeTransactionError extends NestboxError {
  readonly code = 'UNSAFE_TRANSACTION';

  constructor() {
    super('BEGIN was sent to a pooled connection. Use postgres.transaction(fn).');
  }
}

/** The database could not be reached when the application started. */
export class PostgresUnavailableError extends NestboxError {
  readonly code = 'POSTGRES_UNAVAILABLE';

  constructor(
    /** Host, port and database; never the password. */
    readonly address: string,
    cause: unknown,
  ) {
    super(
      `Could not connect to PostgreSQL at ${address}: ${messageOf(cause)}. ` +
        'Check that the server runs and that the connection options are right.',
      { cause },
    );
  }
}

/** The embedded server cannot be started or used. */
export class EmbeddedPostgresError extends NestboxError {
  readonly code = 'EMBEDDED_POSTGRES';

  constructor(problem: string, options?: { cause?: unknown }) {
    super(`Embedded PostgreSQL: ${problem}`, options);
  }
}

/** SQLSTATEs with which PostgreSQL ends a session; class 08 is added below. */
const SESSION_ENDED = new Set(['57P01', '57P02', '57P03', '57P04', '57P05', '25P03', '25P04']);

const CONNECTION_CODES = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
  'CONNECT_TIMEOUT',
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOENT',
  'ENOTFOUND',
  'EPIPE',
  'ERR_SOCKET_CLOSED',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
  'ETIMEDOUT',
]);

/** Whether an error, or what caused it, means that the connection could not be had or was lost. */
export function isConnectionLost(error: unknown): boolean {
  // By shape: an error of Node's own is no instance of the `Error` that a vm context, as Jest's, has.
  let cause = error;
  for (let depth = 0; typeof cause === 'object' && cause !== null && depth < 8; depth++) {
    const code = codeOf(cause);
    if (
      code !== undefined &&
      (CONNECTION_CODES.has(code) || SESSION_ENDED.has(code) || /^08\w{3}$/.test(code))
    ) {
      return true;
    }
    cause = (cause as { cause?: unknown }).cause;
  }
  return false;
}

/**
 * Whether PostgreSQL refused a statement because of the data in it (SQLSTATE classes 22 data exception, 23
 * constraint violation, 44 check option violation and 54 limit exceeded). The statement took no effect.
 */
export function isDataError(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && /^(?:22|23|44|54)[0-9A-Z]{3}$/.test(code);
}

/**
 * Whether a statement or transaction lost against another one (SQLSTATE 40001 serialization failure, or 40P01 deadlock).
 * It took no effect, and may be run again as a whole.
 */
export function isTransactionConflict(error: unknown): boolean {
  const code = codeOf(error);
  return code === '40001' || code === '40P01';
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
