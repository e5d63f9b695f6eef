import type { PreparedRun, WorkflowBackend } from '../workflow.backend.js';
import type { ChildOptions } from '../workflow-context.js';
import type { WorkflowClass } from '../workflow.decorator.js';
import type { RunStatus } from '../workflow.types.js';
import type { ExecutionHooks } from './execution-hooks.js';
import type { OutageLog } from './outage-log.js';
import type { Semaphore } from './semaphore.js';

/** How a run ended, in the process where it did. */
export interface LocalEnd {
  readonly runId: string;
  readonly workflow: string;
  readonly status: RunStatus;
  readonly output: unknown;
  readonly error: unknown;
}

/** What an execution needs of the engine that it belongs to. */
export interface ExecutionHost {
  readonly backend: WorkflowBackend;
  /** Bytes of a value at the most. */
  readonly maxPayloadBytes: number;
  /** How many transactions may be open at once. */
  readonly transactions: Semaphore;
  readonly outage: OutageLog;
  /** Whether the worker has its lease. */
  readonly isLive: boolean;
  /** Whether others want the room that an execution which only waits takes. */
  readonly isCrowded: boolean;
  /** The monotonic clock, in ms. */
  now(): number;
  /** The time of day, in ms since 1970. */
  wallTime(): number;
  /** Prepares the run of a child. */
  childRun(
    workflow: WorkflowClass,
    input: unknown,
    id: string,
    options: ChildOptions,
    parentId: string,
  ): PreparedRun;
  /** @returns false when there was a run with this id */
  startChild(run: PreparedRun): Promise<boolean>;
  /** Has what came for the runs of this worker looked for, soon. */
  lookForNews(): void;
  /** A deadline may be over. */
  deadlinePassed(): void;
  readonly hooks: ExecutionHooks;
  ended(end: LocalEnd): void;
  /** The execution is over, with the run or without it. */
  left(runId: string): void;
}
