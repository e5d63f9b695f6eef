import { InvalidArgumentError, NestboxError, messageOf } from '@nestbox/core';
import type { ExpectedVersion } from './kv.adapter.js';

/** The backend failed; the message has its reason and `cause` its error. */
export class KvOperationError extends NestboxError {
  readonly code = 'KV_OPERATION_FAILED';

  /** @param operation as in `Failed to <operation>: …`, such as `set key "a"` */
  constructor(
    readonly operation: string,
    cause: unknown,
    readonly key?: string,
  ) {
    super(`Failed to ${operation}: ${messageOf(cause)}`, { cause });
  }
}

/** A conditional write found another version. Read the entry again, decide again, write again. */
export class VersionConflictError extends NestboxError {
  readonly code = 'VERSION_CONFLICT';

  /** @param current the version found; undefined when there is no entry */
  constructor(
    readonly key: string,
    readonly expected: ExpectedVersion,
    readonly current: bigint | undefined,
  ) {
    super(
      `Key "${key}" is at ${current === undefined ? 'no version (absent)' : `version ${current}`}, ` +
        `but ${expected === 'absent' ? 'no entry' : `version ${expected}`} was expected. Read it again and retry.`,
    );
  }
}

/** An increment met a value that is not a whole number, or a sum that does not fit 64 bits. */
export class NotACounterError extends NestboxError {
  readonly code = 'NOT_A_COUNTER';

  constructor(
    readonly key: string,
    readonly problem: string,
  ) {
    super(`Key "${key}" cannot be incremented: ${problem}`);
  }
}

/** The changes asked for are no longer kept. Read the current state, then watch from `revision()`. */
export class RevisionTrimmedError extends NestboxError {
  readonly code = 'REVISION_TRIMMED';

  constructor(
    readonly fromRevision: bigint,
    readonly oldestRevision: bigint,
  ) {
    super(
      `Changes from revision ${fromRevision} on are no longer kept; the oldest is ${oldestRevision}. ` +
        'Read the current entries, then watch without fromRevision.',
    );
  }
}

/** Somebody else holds the lease. */
export class LeaseHeldError extends NestboxError {
  readonly code = 'LEASE_HELD';

  constructor(readonly key: string) {
    super(
      `The lease "${key}" is held by another holder. Wait for it with the option wait, or try again later.`,
    );
  }
}

/** The lease ran out before it was renewed; another holder may have it. Stop what it protected. */
export class LeaseLostError extends NestboxError {
  readonly code = 'LEASE_LOST';

  constructor(readonly key: string) {
    super(`The lease "${key}" has run out and may be held by another. Stop the work it protected.`);
  }
}

/** A line of an import is not an entry. What the lines before it hold is stored already, as the counts say. */
export class ImportLineError extends InvalidArgumentError {
  /**
   * @param line number of the line; the first is 1
   * @param imported entries stored
   * @param skipped lines passed over
   */
  constructor(
    readonly line: number,
    path: string,
    problem: string,
    readonly imported: number,
    readonly skipped: number,
    options?: { cause?: unknown },
  ) {
    super(path, `${problem} ${storedSoFar(imported, skipped)}`, options);
  }
}

/** For messages about an import that ended before its end. */
export function storedSoFar(imported: number, skipped: number): string {
  if (imported === 0 && skipped === 0) return 'Nothing was imported.';
  return `${imported} entries of the lines before are stored${skipped === 0 ? '' : `, ${skipped} were skipped`}.`;
}
