import type { Encoded } from '../workflow.backend.js';
import type { StateRunStatus } from './state.types.js';

/** A run to be created. */
export interface RunInsert {
  readonly id: string;
  readonly workflow: string;
  readonly input: Encoded;
}

/** A status to be set. What is undefined stays as it is. */
export interface RunUpdate {
  readonly id: string;
  readonly status: StateRunStatus;
  readonly output: Encoded | undefined;
  readonly error: Encoded | undefined;
}

export type RunUpdateOutcome =
  | { readonly kind: 'written' }
  /** It had ended before. */
  | { readonly kind: 'kept' }
  | { readonly kind: 'absent' }
  /** A worker of the engine has it. */
  | { readonly kind: 'engine'; readonly status: StateRunStatus };

/** What becomes of a step. `value` is its result or its error. */
export interface StepUpdate {
  readonly runId: string;
  readonly stepName: string;
  readonly status: 'scheduled' | 'done' | 'error';
  readonly value: Encoded | undefined;
}

export type StepUpdateOutcome =
  /** `attempts` counts the tries, this one included. */
  | { readonly kind: 'written'; readonly attempts: number }
  /** It was done before; or it was to be scheduled, and the run has ended. */
  | { readonly kind: 'kept' }
  | { readonly kind: 'absent' };
