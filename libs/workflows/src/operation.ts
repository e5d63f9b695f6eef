import {
  ClosedError,
  InvalidArgumentError,
  OverloadedError,
  UnsupportedOperationError,
  messageOf,
} from '@nestbox/core';
import {
  PayloadTooLargeError,
  RunConflictError,
  RunNotFoundError,
  RunStateError,
  WorkflowOperationError,
} from './workflow.errors.js';

/** Errors that say all there is to say. */
const PLAIN = [
  ClosedError,
  InvalidArgumentError,
  OverloadedError,
  UnsupportedOperationError,
  PayloadTooLargeError,
  RunConflictError,
  RunNotFoundError,
  RunStateError,
  WorkflowOperationError,
];

/** Names the operation in the errors of the backend. */
export async function operation<R>(name: string, fn: () => Promise<R>): Promise<R> {
  try {
    return await fn();
  } catch (error) {
    if (PLAIN.some((type) => error instanceof type)) throw error;
    throw new WorkflowOperationError(name, messageOf(error), error);
  }
}
