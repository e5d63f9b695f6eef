import { describeWorkflow } from './engine/describe-workflow.js';
import type { Worker } from './engine/worker.js';
import { inTrace } from './observe/traceparent.js';
import { operation } from './operation.js';
import { prepareRun } from './prepare-run.js';
import type { ChildOptions } from './workflow-context.js';
import type { PreparedRun, WorkflowBackend } from './workflow.backend.js';
import type { WorkflowClass } from './workflow.decorator.js';
import { RunConflictError } from './workflow.errors.js';
import type { StartOptions } from './workflow.types.js';

/** Starts runs: here at once where there is room, else by whoever claims them. */
export class RunStarter {
  constructor(
    private readonly backend: WorkflowBackend,
    private readonly maxPayloadBytes: number,
    private readonly worker: () => Worker | undefined,
  ) {}

  /** @throws InvalidArgumentError; PayloadTooLargeError */
  prepare(workflow: WorkflowClass, input: unknown, options: StartOptions): PreparedRun {
    return prepareRun(describeWorkflow(workflow), input, options, this.maxPayloadBytes, undefined);
  }

  /** @throws InvalidArgumentError; PayloadTooLargeError */
  prepareChild(
    workflow: WorkflowClass,
    input: unknown,
    id: string,
    { queue, priority, partitionKey, deadline }: ChildOptions,
    parentId: string,
  ): PreparedRun {
    const options: StartOptions = { id };
    if (queue !== undefined) options.queue = queue;
    if (priority !== undefined) options.priority = priority;
    if (partitionKey !== undefined) options.partitionKey = partitionKey;
    if (deadline !== undefined) options.deadline = deadline;
    return prepareRun(describeWorkflow(workflow), input, options, this.maxPayloadBytes, parentId);
  }

  /**
   * @returns false when there was a run with this id
   * @throws RunConflictError; WorkflowOperationError
   */
  async start(prepared: PreparedRun): Promise<boolean> {
    const { backend } = this;
    const run = inTrace(prepared);
    const worker = this.worker();
    // In a transaction it may not come about, and others can see it only afterwards.
    const mayBegin = run.delayMs === 0 && !backend.isInTransaction;
    const claimedBy = mayBegin ? worker?.tryReserve(run.workflow, run.queue) : undefined;
    let isSure = false;
    try {
      const outcome = await operation(`start run "${run.id}" of workflow "${run.workflow}"`, () =>
        backend.start({ ...run, worker: claimedBy }),
      );
      isSure = true;
      if (outcome.kind === 'exists') {
        if (outcome.workflow === run.workflow) return false;
        throw new RunConflictError(run.id, run.workflow, outcome.workflow);
      }
      if (claimedBy === undefined) backend.notifyReady();
      else worker!.beginNew(run, outcome.claim);
      return true;
    } finally {
      if (claimedBy !== undefined) worker!.unreserve(isSure);
    }
  }
}
