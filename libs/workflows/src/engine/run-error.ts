import { DeadlineExceededError, RunCancelledError, RunDeadError } from '../workflow.errors.js';
import type { RunRow } from '../workflow.backend.js';

/** What a run that did not complete ended with. */
export function runErrorOf({ id, status, error }: Pick<RunRow, 'id' | 'status' | 'error'>): unknown {
  if (status === 'dead') return new RunDeadError(id);
  if (status !== 'cancelled') return error;
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return code === 'DEADLINE_EXCEEDED' ? new DeadlineExceededError(id) : new RunCancelledError(id);
}
