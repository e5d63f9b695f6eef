import type { StepKind } from '../workflow.types.js';

/** What is told of a run. */
export interface ObservedRun {
  readonly runId: string;
  readonly workflow: string;
  /** As it was stored when it was started. */
  readonly traceparent: string | undefined;
  /** Whether it was begun before, in this process or another. */
  readonly isResumed: boolean;
}

export interface ObservedStep {
  readonly stepName: string;
  readonly kind: StepKind;
  readonly attempt: number;
}
