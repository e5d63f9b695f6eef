import { NestboxError } from '@nestbox/core';

/** The connection that held the lock on a run was lost while the run was worked on. */
export class RunLockLostError extends NestboxError {
  readonly code = 'RUN_LOCK_LOST';

  constructor(
    readonly runId: string,
    cause: unknown,
  ) {
    super(
      `The lock on run "${runId}" was lost with its connection, so somebody else may have had it in the meantime. ` +
        'Look at what is recorded before you do it again, and end early when the signal aborts.',
      { cause },
    );
  }
}
