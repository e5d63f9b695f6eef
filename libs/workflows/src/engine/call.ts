import type { LoadedStep } from '../workflow.backend.js';
import type { StepKind } from '../workflow.types.js';

/** One call of a context's method. */
export interface Call {
  /** Unique in its run. */
  readonly name: string;
  readonly kind: StepKind;
  readonly seq: number;
  /** The name of the call before, on the way to this one. */
  readonly after: string | undefined;
  /** What was recorded of it before this execution began. */
  readonly record: LoadedStep | undefined;
}
