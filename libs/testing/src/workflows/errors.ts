import { NestboxError } from '@nestbox/core';

/** A test of workflows cannot do what it was asked for. */
export class WorkflowTestError extends NestboxError {
  readonly code = 'WORKFLOW_TEST';
}
