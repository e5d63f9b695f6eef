import { NestboxError, messageOf } from '@nestbox/core';
import { WorkflowOperationError } from './workflow.errors.js';

/** Names the operation in the errors of the backend; those of ours say all there is to say. */
export async function operation<R>(name: string, fn: () => Promise<R>): Promise<R> {
  try {
    return await fn();
  } catch (error) {
    if (error instanceof NestboxError) throw error;
    throw new WorkflowOperationError(name, messageOf(error), error);
  }
}
