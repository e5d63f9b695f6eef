import { NestboxError } from '@nestbox/core';
import type { RunStatus } from './workflow.types.js';

/** A store operation failed; `cause` says why. */
export class WorkflowOperationError extends NestboxError {
  readonly code = 'WORKFLOW_OPERATION_FAILED';

  constructor(operation: string, reason: string, cause: unknown) {
    super(`Failed to ${operation}: ${reason}`, { cause });
  }
}

export class RunNotFoundError extends NestboxError {
  readonly code = 'RUN_NOT_FOUND';

  constructor(readonly runId: string) {
    super(`There is no run "${runId}". Check the id; runs are deleted when their retention is over.`);
  }
}

/** The id is taken by a run of another workflow. */
export class RunConflictError extends NestboxError {
  readonly code = 'RUN_CONFLICT';

  constructor(
    readonly runId: string,
    readonly workflow: string,
    readonly existing: string,
  ) {
    super(
      `Run "${runId}" of workflow "${workflow}" was not started: the id belongs to a run of "${existing}". Choose another id.`,
    );
  }
}

/** A run cannot do what was asked of it in its state. */
export class RunStateError extends NestboxError {
  readonly code = 'RUN_STATE';

  constructor(
    readonly runId: string,
    readonly status: RunStatus,
    problem: string,
  ) {
    super(`Run "${runId}" is ${status}: ${problem}`);
  }
}

/** The result of a run was asked for, and it failed; `cause` is its error as it was recorded. */
export class RunFailedError extends NestboxError {
  readonly code = 'RUN_FAILED';

  constructor(
    readonly runId: string,
    readonly workflow: string,
    reason: string,
    cause: unknown,
  ) {
    super(`Run "${runId}" of workflow "${workflow}" failed: ${reason}`, { cause });
  }
}

export class RunCancelledError extends NestboxError {
  readonly code = 'RUN_CANCELLED';

  constructor(readonly runId: string) {
    super(`Run "${runId}" was cancelled.`);
  }
}

/** A run took longer than its deadline, and was cancelled. */
export class DeadlineExceededError extends NestboxError {
  readonly code = 'DEADLINE_EXCEEDED';

  constructor(readonly runId: string) {
    super(`Run "${runId}" was cancelled, since its deadline was over.`);
  }
}

/** A run that lost its worker too often without having got on. */
export class RunDeadError extends NestboxError {
  readonly code = 'RUN_DEAD';

  constructor(readonly runId: string) {
    super(
      `Run "${runId}" lost its worker again and again without having got on, so nobody takes it any more. ` +
        'Look for a step that ends the process, then retry or resume the run.',
    );
  }
}

/** The code does not do what the history of the run says that it did before. */
export class NonDeterminismError extends NestboxError {
  readonly code = 'NON_DETERMINISM';

  constructor(
    readonly runId: string,
    problem: string,
  ) {
    super(
      `The code does not fit the history of run "${runId}": ${problem} ` +
        'Guard the change with ctx.patched(), or bring the old code back and resume the run.',
    );
  }
}

/** Two concurrent branches use the same step name, so that a replay could not tell them apart. */
export class AmbiguousStepError extends NestboxError {
  readonly code = 'AMBIGUOUS_STEP';

  constructor(
    readonly runId: string,
    readonly stepName: string,
  ) {
    super(
      `Run "${runId}": step "${stepName}" is called from several branches that run at the same time. ` +
        'Give each a name of its own, or use ctx.map() or ctx.branch(), which keep names apart.',
    );
  }
}

/** Thrown by a step that shall not be tried again. */
export class NonRetryableError extends NestboxError {
  readonly code: string = 'NON_RETRYABLE';
}

/** One try of a step took longer than its `timeout`. */
export class StepTimeoutError extends NestboxError {
  readonly code = 'STEP_TIMEOUT';

  constructor(
    readonly stepName: string,
    readonly timeoutMs: number,
  ) {
    super(`Step "${stepName}" did not end within ${timeoutMs} ms.`);
  }
}

/** No signal came within the `timeout` of a wait. */
export class SignalTimeoutError extends NestboxError {
  readonly code = 'SIGNAL_TIMEOUT';

  constructor(
    readonly signalName: string,
    readonly timeoutMs: number,
  ) {
    super(`Signal "${signalName}" did not come within ${timeoutMs} ms.`);
  }
}

/** A value is too large to be recorded. */
export class PayloadTooLargeError extends NestboxError {
  readonly code = 'PAYLOAD_TOO_LARGE';

  constructor(
    readonly what: string,
    readonly bytes: number,
    readonly limit: number,
  ) {
    super(
      `${what} takes ${bytes} bytes, and at most ${limit} are allowed. ` +
        'Store it elsewhere and pass a reference, or raise maxPayloadBytes.',
    );
  }
}

/** The worker had to give the run up: its lease is over, or the application shuts down. The run goes on elsewhere. */
export class RunReleasedError extends NestboxError {
  readonly code = 'RUN_RELEASED';

  constructor(
    readonly runId: string,
    reason: string,
  ) {
    super(`Run "${runId}" was given up here, and goes on elsewhere: ${reason}`);
  }
}
