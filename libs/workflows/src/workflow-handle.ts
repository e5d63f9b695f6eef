import { type Duration } from '@nestbox/core';
import type { RunInfo, RunStatus, StartOptions, StepInfo } from './workflow.types.js';
import type { WorkflowService } from './workflow-service.js';

/** How long a result is waited for. */
export interface ResultOptions {
  /** How long to wait; then it rejects with a TimeoutError, and the run goes on. Default: for ever. */
  timeout?: Duration;
  /** Ends the waiting. */
  signal?: AbortSignal;
}

/** A run, by its id. Nothing is asked of the database until a method is called. */
export class WorkflowHandle<Output = unknown> {
  /** @internal Made by `WorkflowService`. */
  constructor(
    private readonly service: WorkflowService,
    readonly id: string,
  ) {}

  /**
   * Waits until the run is over.
   *
   * @throws RunFailedError, whose `cause` is the recorded error; RunCancelledError; DeadlineExceededError; RunDeadError;
   *   RunNotFoundError; TimeoutError
   */
  async result(options: ResultOptions = {}): Promise<Output> {
    return (await this.service.waitFor(this.id, options)) as Output;
  }

  /** @throws RunNotFoundError */
  async status(): Promise<RunStatus> {
    return (await this.info()).status;
  }

  /** @throws RunNotFoundError */
  info(): Promise<RunInfo> {
    return this.service.info(this.id);
  }

  /** What it has done, in the order of the calls. */
  steps(): Promise<StepInfo[]> {
    return this.service.stepsOf(this.id);
  }

  /** What its code has shown by `setValue`. */
  values(): Promise<Record<string, unknown>> {
    return this.service.valuesOf(this.id);
  }

  /** @throws RunNotFoundError; RunStateError when it is over */
  signal(name: string, payload?: unknown, options: { dedupe?: string } = {}): Promise<void> {
    return this.service.signal(this.id, name, payload, options);
  }

  /**
   * Cancels it, and the runs that it has started as children. What has steps with compensations is undone afterwards.
   *
   * @returns false when it was over already
   * @throws RunNotFoundError
   */
  cancel(): Promise<boolean> {
    return this.service.cancel(this.id);
  }

  /** Lets a stuck, dead or cancelled run go on from where it is, or wakes a parked one. @throws RunNotFoundError; RunStateError */
  resume(): Promise<void> {
    return this.service.resume(this.id);
  }

  /**
   * Runs it again: without the steps that failed or were undone, or from a step on.
   *
   * @throws RunNotFoundError; RunStateError when it is not over, or has no such step
   */
  retry(options: { fromStep?: string } = {}): Promise<void> {
    return this.service.retry(this.id, options);
  }

  /**
   * Starts a new run with the same input and the steps before `fromStep`; without that, with none.
   *
   * @throws RunNotFoundError; RunStateError when it has no such step; RunConflictError
   */
  fork(
    options: { fromStep?: string; id?: string; input?: unknown } & Pick<
      StartOptions,
      'queue' | 'priority'
    > = {},
  ): Promise<WorkflowHandle<Output>> {
    return this.service.fork<Output>(this.id, options);
  }
}
