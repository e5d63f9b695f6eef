import {
  CHANNELS,
  type ExecutionEnd,
  type RunEndEvent,
  type RunStartEvent,
  type StepEndEvent,
  type StepStartEvent,
} from './events.js';
import type { ObservedRun, ObservedStep } from './observed.js';
import { RunSpan } from './run-span.js';

export type { ExecutionEnd } from './events.js';

/** One execution of a run, from its claim until it ends, is parked or is lost. */
export interface RunObservation {
  /** Calls the workflow's own code. */
  body<R>(fn: () => R): R;
  /** Calls the function of a step, for one try. */
  step<R>(step: ObservedStep, fn: () => Promise<R>): Promise<R>;
  end(how: ExecutionEnd, error?: unknown): void;
}

/** Tells those who listen that a run begins here, or goes on. */
export function observeRun(run: ObservedRun): RunObservation {
  const { runId, workflow, isResumed } = run;
  if (CHANNELS.runStart.hasSubscribers) {
    CHANNELS.runStart.publish({ runId, workflow, isResumed } satisfies RunStartEvent);
  }
  return new Observation(runId, workflow, isResumed, RunSpan.of(run));
}

class Observation implements RunObservation {
  private readonly begin = performance.now();

  constructor(
    private readonly runId: string,
    private readonly workflow: string,
    private readonly isResumed: boolean,
    private readonly span: RunSpan | undefined,
  ) {}

  body<R>(fn: () => R): R {
    return this.span === undefined ? fn() : this.span.within(fn);
  }

  step<R>(step: ObservedStep, fn: () => Promise<R>): Promise<R> {
    const isHeard = CHANNELS.stepStart.hasSubscribers || CHANNELS.stepEnd.hasSubscribers;
    if (isHeard) return this.announced(step, fn);
    return this.span === undefined ? fn() : this.span.step(step, fn);
  }

  end(end: ExecutionEnd, error?: unknown): void {
    this.span?.end(end, error);
    if (!CHANNELS.runEnd.hasSubscribers) return;
    const { runId, workflow, isResumed } = this;
    const durationMs = performance.now() - this.begin;
    CHANNELS.runEnd.publish({ runId, workflow, isResumed, end, durationMs, error } satisfies RunEndEvent);
  }

  private async announced<R>(step: ObservedStep, fn: () => Promise<R>): Promise<R> {
    const { runId, workflow } = this;
    const { stepName, kind, attempt } = step;
    const start: StepStartEvent = { runId, workflow, stepName, kind, attempt };
    const begin = performance.now();
    const ended = (error: unknown): void => {
      const durationMs = performance.now() - begin;
      CHANNELS.stepEnd.publish({ ...start, durationMs, error } satisfies StepEndEvent);
    };
    CHANNELS.stepStart.publish(start);
    try {
      const result = await (this.span === undefined ? fn() : this.span.step(step, fn));
      ended(undefined);
      return result;
    } catch (error) {
      ended(error);
      throw error;
    }
  }
}
