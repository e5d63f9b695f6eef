import { AsyncLocalStorage } from 'node:async_hooks';
import type { WorkflowContext } from '../workflow-context.js';

/** A call that others come after: its name, or that of a branch with a `/` behind it. */
export interface Lead {
  readonly name: string;
}

/** Where in a run some code is. */
export interface Place {
  /** Of the branch that it is in. */
  readonly context: WorkflowContext;
  /** What was called last on the way to it. */
  readonly after: Lead | undefined;
  /** Whether it is inside a step, where nothing is recorded any more. */
  readonly isInStep: boolean;
}

/** Follows the code of workflows through its awaits. */
export const place = new AsyncLocalStorage<Place>();
