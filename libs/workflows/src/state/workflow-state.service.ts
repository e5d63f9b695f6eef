import { InvalidArgumentError, UnsupportedOperationError, assertName } from '@nestbox/core';
import { uuidv7 } from '../uuid.js';
import { encodeError, encodeValue } from '../values/typed-value.js';
import { RunNotFoundError, RunStateError } from '../workflow.errors.js';
import { STEP_JOB, RUN_JOB, jobIdOf, stepOf } from './step-job.js';
import {
  STATE_RUN_STATUSES,
  type QueuedStepHandler,
  type QueuedStepJob,
  type QueuedStepOutcome,
  type RunState,
  type StateRunStatus,
  type StepState,
  type WorkflowQueue,
} from './state.types.js';
import type {
  RunInsert,
  RunUpdate,
  RunUpdateOutcome,
  StepUpdate,
  StepUpdateOutcome,
} from './state.writes.js';

/**
 * Keeps what has become of runs and of their steps, for an orchestrator of your own.
 *
 * - A run that has ended stays as it ended: later statuses are not recorded.
 * - A step that is done stays done, with its first result. One that failed may be scheduled or done after all.
 *
 * Values keep their types, see `encodeValue`. Names and ids have 512 bytes at the most.
 */
export abstract class WorkflowStateService {
  /** @param queue where {@link queueRun} and {@link queueStep} add jobs, such as a `Queue` of BullMQ */
  constructor(private readonly queue?: WorkflowQueue) {
    if (queue !== undefined && typeof (queue as WorkflowQueue | null)?.add !== 'function') {
      throw new InvalidArgumentError(
        'queue',
        'must have a method add(name, data, options), as a Queue of BullMQ.',
      );
    }
  }

  /** Makes it ready for use. Every method does so itself when it is needed. May be called twice. */
  abstract init(): Promise<void>;

  /** Ends what is its own: locks are lost, a connection that was passed in stays open. May be called twice. */
  abstract close(): Promise<void>;

  /**
   * Runs `fn` while nobody else has the lock on the run, in any process. The lock takes no connection of the pool.
   *
   * @param fn gets a signal that aborts when the lock is lost
   * @throws what `fn` throws; RunLockLostError, after `fn` has ended, when the lock was lost; InvalidArgumentError
   *   inside a transaction, and for a run that the caller has locked already
   */
  abstract withRunLock<T>(id: string, fn: (signal: AbortSignal) => Promise<T>): Promise<T>;

  /**
   * Records a new run, as `running`.
   *
   * @returns its id, a UUID of version 7
   * @throws InvalidArgumentError; WorkflowOperationError
   */
  async createRun(workflowName: string, input: unknown): Promise<string> {
    assertName(workflowName, 'workflowName');
    const run = { id: uuidv7(), workflow: workflowName, input: encodeValue(input, 'input') };
    await this.insertRun(run);
    return run.id;
  }

  async getRun(id: string): Promise<RunState | null> {
    assertName(id, 'id');
    return this.readRun(id);
  }

  /**
   * Sets the status of a run. An output or error that is undefined leaves the one before.
   *
   * @returns false when the run had ended before, and nothing was changed
   * @throws RunNotFoundError; RunStateError for a run that the workflow engine is working on; InvalidArgumentError
   */
  async updateRunStatus(
    id: string,
    status: StateRunStatus,
    output?: unknown,
    error?: unknown,
  ): Promise<boolean> {
    assertName(id, 'id');
    if (!STATE_RUN_STATUSES.includes(status)) {
      throw new InvalidArgumentError('status', `must be one of ${STATE_RUN_STATUSES.join(', ')}.`);
    }
    const outcome = await this.writeRun({
      id,
      status,
      output: output === undefined ? undefined : encodeValue(output, 'output'),
      error: error === undefined ? undefined : encodeError(error),
    });
    if (outcome.kind === 'absent') throw new RunNotFoundError(id);
    if (outcome.kind === 'engine') {
      throw new RunStateError(id, outcome.status, 'the workflow engine has it. Use WorkflowService.');
    }
    return outcome.kind === 'written';
  }

  async getStepState(runId: string, stepName: string): Promise<StepState> {
    assertStep(runId, stepName);
    return (await this.readStep(runId, stepName)) ?? { status: 'pending' };
  }

  /**
   * Marks a step as given to somebody.
   *
   * @returns false when it is done already, or the run has ended, and nothing was changed
   * @throws RunNotFoundError; InvalidArgumentError
   */
  async setStepScheduled(runId: string, stepName: string): Promise<boolean> {
    return (await this.schedule(runId, stepName)) !== undefined;
  }

  /**
   * Records the result of a step.
   *
   * @returns false when it had one before, which stays
   * @throws RunNotFoundError; InvalidArgumentError for a result that cannot be recorded
   */
  async setStepResult(runId: string, stepName: string, result: unknown): Promise<boolean> {
    assertStep(runId, stepName);
    const value = encodeValue(result, 'result');
    return (await this.write({ runId, stepName, status: 'done', value })) !== undefined;
  }

  /**
   * Records that a step has failed. Anything may be given as the error.
   *
   * @returns false when the step is done, which it stays
   * @throws RunNotFoundError; InvalidArgumentError
   */
  async setStepError(runId: string, stepName: string, error: unknown): Promise<boolean> {
    assertStep(runId, stepName);
    return (await this.write({ runId, stepName, status: 'error', value: encodeError(error) })) !== undefined;
  }

  /**
   * Adds a job `workflow-run` with the data `{ runId }`: whoever takes it goes on with the run. Inside a transaction,
   * it is added after the commit.
   *
   * @throws UnsupportedOperationError without a queue; RunNotFoundError; what the queue throws
   */
  async queueRun(runId: string): Promise<void> {
    const queue = this.requireQueue('queueRun');
    assertName(runId, 'runId');
    if ((await this.readRun(runId)) === null) throw new RunNotFoundError(runId);
    await this.afterCommit(() => addRun(queue, runId));
  }

  /**
   * Marks a step as scheduled, and adds a job `workflow-step` with the data `{ runId, stepName, data }`. When the job
   * cannot be added, the step is recorded as failed with the queue's error, so that it can be queued again. The id of
   * the job (`jobId`) is the same for the same try of a step: a queue that knows ids, as BullMQ does, takes it once.
   * Inside a transaction, the job is added after the commit.
   *
   * @param options for the queue, as its `add` takes them. Jobs are removed when they are over unless these say
   *   otherwise: BullMQ would not take one again of which it still has the id.
   * @returns false when the step is done already, or the run has ended, and no job was added
   * @throws UnsupportedOperationError without a queue; RunNotFoundError; InvalidArgumentError; what the queue throws
   */
  async queueStep(
    runId: string,
    stepName: string,
    data?: unknown,
    options: Record<string, unknown> = {},
  ): Promise<boolean> {
    const queue = this.requireQueue('queueStep');
    assertStep(runId, stepName);
    // As JSON that the queue may write and read in its own way; plain JSON is left as it is.
    const job = { runId, stepName, data: JSON.parse(encodeValue(data, 'data')) as unknown };
    const attempts = await this.schedule(runId, stepName);
    if (attempts === undefined) return false;
    const jobId = jobIdOf(runId, stepName, attempts);
    await this.afterCommit(async () => {
      try {
        await queue.add(STEP_JOB, job, { jobId, removeOnComplete: true, removeOnFail: true, ...options });
      } catch (error) {
        // What the caller has to hear of is the queue's error. A step that stays scheduled can be queued again, too.
        await this.setStepError(runId, stepName, error).catch(() => undefined);
        throw error;
      }
    });
    return true;
  }

  /**
   * What a worker does with a job of {@link queueStep}: runs the handler unless the step is over, records its result or
   * error, and queues the run, so that its orchestrator goes on. What the handler throws is recorded and not thrown. When
   * this rejects, the job has to be tried again. A handler may run more than once, if its worker dies or the queue gives a
   * job twice; the first result counts.
   *
   * @throws UnsupportedOperationError without a queue; RunNotFoundError; InvalidArgumentError for another job
   */
  async runQueuedStep(job: QueuedStepJob, handler: QueuedStepHandler): Promise<QueuedStepOutcome> {
    const queue = this.requireQueue('runQueuedStep');
    const { runId, stepName, data } = stepOf(job);
    assertStep(runId, stepName);
    const run = await this.readRun(runId);
    if (run === null) throw new RunNotFoundError(runId);
    if (run.status !== 'running' && run.status !== 'suspended') return 'skipped';
    const { status } = await this.getStepState(runId, stepName);
    const isOver = status === 'done' || status === 'error';
    const outcome = isOver ? 'skipped' : await this.handle(runId, stepName, data, handler);
    // Also when it was over: whoever recorded it may have died before the run was queued.
    await this.afterCommit(() => addRun(queue, runId));
    return outcome;
  }

  protected abstract insertRun(run: RunInsert): Promise<void>;
  protected abstract readRun(id: string): Promise<RunState | null>;
  protected abstract writeRun(update: RunUpdate): Promise<RunUpdateOutcome>;
  protected abstract readStep(runId: string, stepName: string): Promise<StepState | undefined>;
  protected abstract writeStep(update: StepUpdate): Promise<StepUpdateOutcome>;
  /** Calls `fn` when the caller's transaction is committed, or at once without one, which is then waited for. */
  protected abstract afterCommit(fn: () => Promise<void>): Promise<void>;

  private async handle(
    runId: string,
    stepName: string,
    data: unknown,
    handler: QueuedStepHandler,
  ): Promise<QueuedStepOutcome> {
    let value: string;
    try {
      value = encodeValue(await handler(data, { runId, stepName }), 'result');
    } catch (error) {
      return (await this.setStepError(runId, stepName, error)) ? 'error' : 'skipped';
    }
    const attempts = await this.write({ runId, stepName, status: 'done', value });
    return attempts === undefined ? 'skipped' : 'done';
  }

  private schedule(runId: string, stepName: string): Promise<number | undefined> {
    assertStep(runId, stepName);
    return this.write({ runId, stepName, status: 'scheduled', value: undefined });
  }

  /** The tries of the step, or undefined when nothing was changed. */
  private async write(update: StepUpdate): Promise<number | undefined> {
    const outcome = await this.writeStep(update);
    if (outcome.kind === 'absent') throw new RunNotFoundError(update.runId);
    return outcome.kind === 'written' ? outcome.attempts : undefined;
  }

  private requireQueue(method: string): WorkflowQueue {
    if (this.queue !== undefined) return this.queue;
    throw new UnsupportedOperationError(
      method,
      'a state service without a queue',
      'Pass one to its constructor, such as a Queue of BullMQ.',
    );
  }
}

async function addRun(queue: WorkflowQueue, runId: string): Promise<void> {
  await queue.add(RUN_JOB, { runId });
}

function assertStep(runId: string, stepName: string): void {
  assertName(runId, 'runId');
  assertName(stepName, 'stepName');
}
