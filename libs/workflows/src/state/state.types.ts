import type { StepStatus } from '../workflow.types.js';

/** What {@link WorkflowStateService.updateRunStatus} may set. The last three end a run. */
export type StateRunStatus = 'running' | 'suspended' | 'completed' | 'failed' | 'cancelled';

export const STATE_RUN_STATUSES: readonly StateRunStatus[] = [
  'running',
  'suspended',
  'completed',
  'failed',
  'cancelled',
];

/** A run as it is stored. */
export interface RunState {
  readonly id: string;
  readonly workflow: string;
  /** Also `stuck` or `dead`, of a run that the engine has. */
  readonly status: StateRunStatus | 'stuck' | 'dead';
  readonly input: unknown;
  /** Absent when there is none. */
  readonly output?: unknown;
  /** Absent when there is none; else what was recorded, errors with their name, message, stack and code. */
  readonly error?: unknown;
  /** In ms since 1970, by the clock of the database. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** A step as it is stored; `{ status: 'pending' }` when it is not. */
export interface StepState {
  readonly status: StepStatus;
  /** There when it is done, even if it is undefined. */
  readonly result?: unknown;
  /** There when it failed. */
  readonly error?: unknown;
  readonly updatedAt?: number;
}

/** A queue shaped like BullMQ's `Queue`. */
export interface WorkflowQueue {
  add(name: string, data: Record<string, unknown>, options?: Record<string, unknown>): Promise<unknown>;
}

/** A job as a worker gets it, shaped like BullMQ's `Job`. */
export interface QueuedStepJob {
  readonly data: { readonly runId: string; readonly stepName: string; readonly data?: unknown };
}

/** Runs a step. What it returns is recorded as the result, what it throws as the error. */
export type QueuedStepHandler = (
  data: unknown,
  step: { readonly runId: string; readonly stepName: string },
) => unknown;

/** What became of a job: the step was run and is recorded as `done` or `error`, or there was nothing to do. */
export type QueuedStepOutcome = 'done' | 'error' | 'skipped';
