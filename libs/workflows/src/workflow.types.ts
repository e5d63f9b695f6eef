import type { Duration } from '@nestbox/core';

/**
 * What a run is: `running` (also while it waits for a worker), `suspended` (parked: it waits for a time, a signal or a
 * child and holds nothing), or how it ended. A `stuck` run met code that does not fit its history; a `dead` one was
 * recovered too often. Both stay until somebody resumes, retries or cancels them.
 */
export type RunStatus = 'running' | 'suspended' | 'completed' | 'failed' | 'cancelled' | 'stuck' | 'dead';

/** Every {@link RunStatus}. */
export const RUN_STATUSES: readonly RunStatus[] = [
  'running',
  'suspended',
  'completed',
  'failed',
  'cancelled',
  'stuck',
  'dead',
];

/** Those after which nothing comes by itself. */
export const ENDED: readonly RunStatus[] = ['completed', 'failed', 'cancelled', 'stuck', 'dead'];

/** How far a step is. */
export type StepStatus = 'pending' | 'scheduled' | 'done' | 'error';

/** What kind of step a record is of. */
export type StepKind =
  'step' | 'transaction' | 'sleep' | 'signal' | 'child' | 'now' | 'patch' | 'compensation';

/** How long it is waited between two tries. */
export interface BackoffPolicy {
  /** The wait before the first retry. Default: `'1s'`. */
  base?: Duration;
  /** What each wait is multiplied by. Default: 2. */
  factor?: number;
  /** The longest wait. Default: `'1h'`. */
  max?: Duration;
  /** Whether half of each wait is random. Default: true. */
  jitter?: boolean;
}

/** Which failures are tried again, how often, and with what pauses. */
export interface RetryPolicy {
  /** How often a step is tried again after its first failure. Default: 0. */
  retries?: number;
  backoff?: BackoffPolicy;
  /** Whether an error is worth another try. Default: every error but a `NonRetryableError`. */
  retryIf?: (error: unknown) => boolean;
}

/** What the function of a step gets. */
export interface StepContext {
  readonly runId: string;
  readonly stepName: string;
  /** 1 for the first try. */
  readonly attempt: number;
  /** The same for all tries of this step, in this and every later process; of no other step. */
  readonly idempotencyKey: string;
  /** Aborts when the step times out, the run is cancelled or its worker must give it up. */
  readonly signal: AbortSignal;
}

/** How a step is run, tried again and undone. */
export interface StepOptions extends RetryPolicy {
  /** How long one try may take; then its signal aborts and it counts as failed. Default: for ever. */
  timeout?: Duration;
  /**
   * Undoes the step when the run fails or is cancelled later on. Compensations run in the reverse order of their steps,
   * each as a step of its own that is tried again 10 times by default.
   */
  // oxlint-disable-next-line typescript/no-explicit-any -- TypeScript knows the result only when it has read the function behind the options.
  compensate?: (result: any, context: StepContext) => unknown;
}

/** Options of `@Workflow`. */
export interface WorkflowOptions {
  /** What runs are stored under; choose it for good. */
  name: string;
  /** Of the code, for people: shown with each run. */
  version?: string;
  /** Where runs wait for a worker unless `start` says otherwise. Default: `default`. */
  queue?: string;
  /** How long a run may take, from its start; then it is cancelled with a `DeadlineExceededError`. Default: for ever. */
  deadline?: Duration;
  /** How often a run may lose its worker without having got on before it counts as dead. Default: 20. */
  maxRecoveries?: number;
  /** Which WorkflowModule it belongs to, by the module's `name`. */
  store?: string;
}

/** How a run is started. */
export interface StartOptions {
  /** Two starts with the same id are one run. Default: a UUID (version 7). */
  id?: string;
  /** How long to wait before it begins. */
  delay?: Duration;
  /** Those with lower numbers go first. Default: 0. */
  priority?: number;
  queue?: string;
  /** Runs of one queue with the same key count together for its `partitionConcurrency`. */
  partitionKey?: string;
  /** Overrides the workflow's. */
  deadline?: Duration;
}

/** The limits of a queue. They hold across all processes. Parked runs do not count. */
export interface QueueOptions {
  /** How many runs of it may run at once. */
  concurrency?: number;
  /** How many runs with the same `partitionKey` may run at once. */
  partitionConcurrency?: number;
  /** At most `limit` runs begin or wake within any `per`. */
  rate?: { limit: number; per: Duration };
}

/** Which runs are meant. */
export interface RunFilter {
  workflow?: string;
  status?: RunStatus | readonly RunStatus[];
  queue?: string;
  parent?: string;
  /** When it was created: not before. */
  from?: Date;
  /** When it was created: before. */
  to?: Date;
  /** Text within its id, workflow, input, output or error, upper and lower case alike. */
  search?: string;
}

/** A run as it is shown to people and programs. */
export interface RunInfo {
  readonly id: string;
  readonly workflow: string;
  readonly version: string | undefined;
  readonly status: RunStatus;
  readonly input: unknown;
  readonly output: unknown;
  readonly error: unknown;
  readonly queue: string;
  readonly priority: number;
  readonly parent: string | undefined;
  readonly forkedFrom: string | undefined;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A step of a run as it is shown to people and programs. */
export interface StepInfo {
  readonly name: string;
  readonly kind: StepKind;
  readonly status: StepStatus;
  readonly result: unknown;
  readonly error: unknown;
  readonly attempts: number;
  /** How long its last try took, in ms. */
  readonly durationMs: number | undefined;
  /** Until when it waits, of sleeps and of signals with a timeout. */
  readonly wakeAt: Date | undefined;
  readonly updatedAt: Date;
}
