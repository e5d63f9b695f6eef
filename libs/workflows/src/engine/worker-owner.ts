import type { ChildOptions } from '../workflow-context.js';
import type { PreparedRun } from '../workflow.backend.js';
import type { WorkflowClass } from '../workflow.decorator.js';
import type { ExecutionHooks } from './execution-hooks.js';
import type { LocalEnd } from './execution-host.js';

export interface WorkerSettings {
  /** How many runs at once; parked ones do not count. */
  readonly concurrency: number;
  /** The queues that it serves; undefined for all. */
  readonly queues: readonly string[] | undefined;
  /** Queues whose limits have to be asked for before a run of theirs may begin. */
  readonly limitedQueues: readonly string[];
  readonly leaseMs: number;
  readonly pollMs: number;
  readonly drainMs: number;
  readonly maxPayloadBytes: number;
}

/** What a worker leaves to the service that it belongs to. */
export interface WorkerOwner {
  childRun(
    workflow: WorkflowClass,
    input: unknown,
    id: string,
    options: ChildOptions,
    parentId: string,
  ): PreparedRun;
  /** @returns false when there was a run with this id */
  startRun(run: PreparedRun): Promise<boolean>;
  ended(end: LocalEnd): void;
  now(): number;
  wallTime(): number;
  readonly hooks: ExecutionHooks;
}
