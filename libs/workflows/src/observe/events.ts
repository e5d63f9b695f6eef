import { channel } from 'node:diagnostics_channel';
import type { StepKind } from '../workflow.types.js';

/**
 * How an execution of a run left this process: with the run (`completed`, `failed`, `cancelled`, `stuck`) or without it
 * (`parked`; `released`, back to all workers; `lost`, to another worker or since the run was over).
 */
export type ExecutionEnd = 'completed' | 'failed' | 'cancelled' | 'stuck' | 'parked' | 'released' | 'lost';

/** Published on `nestbox:workflows:run:start` when this process begins or goes on with a run. */
export interface RunStartEvent {
  readonly runId: string;
  readonly workflow: string;
  /** Whether it was begun before, in this process or another. */
  readonly isResumed: boolean;
}

/** Published on `nestbox:workflows:run:end` when this process has done with a run, for now or for good. */
export interface RunEndEvent extends RunStartEvent {
  readonly end: ExecutionEnd;
  /** Of this execution, in ms. */
  readonly durationMs: number;
  /** What the run failed or was cancelled with, or why it is stuck. */
  readonly error: unknown;
}

/** Published on `nestbox:workflows:step:start` before each try of a step, a transaction or a compensation. */
export interface StepStartEvent {
  readonly runId: string;
  readonly workflow: string;
  readonly stepName: string;
  readonly kind: StepKind;
  /** 1 for the first try. */
  readonly attempt: number;
}

/** Published on `nestbox:workflows:step:end` after each try. */
export interface StepEndEvent extends StepStartEvent {
  /** Of this try, in ms. */
  readonly durationMs: number;
  /** What it threw; undefined when it succeeded. */
  readonly error: unknown;
}

/** Those of `node:diagnostics_channel`. */
export const CHANNELS = {
  runStart: channel('nestbox:workflows:run:start'),
  runEnd: channel('nestbox:workflows:run:end'),
  stepStart: channel('nestbox:workflows:step:start'),
  stepEnd: channel('nestbox:workflows:step:end'),
} as const;
