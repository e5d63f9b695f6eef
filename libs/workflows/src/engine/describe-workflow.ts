import { InvalidArgumentError, parseDuration } from '@nestbox/core';
import { workflowOptionsOf } from '../workflow.decorator.js';

/** What `start` needs to know of a workflow, whether or not this process runs it. */
export interface WorkflowDescription {
  readonly name: string;
  readonly version: string | undefined;
  readonly queue: string;
  readonly deadlineMs: number | undefined;
  readonly maxRecoveries: number;
}

export const DEFAULT_QUEUE = 'default';
const DEFAULT_MAX_RECOVERIES = 20;

/** @throws InvalidArgumentError for a class without `@Workflow` */
export function describeWorkflow(type: unknown, path = 'workflow'): WorkflowDescription {
  const options = typeof type === 'function' ? workflowOptionsOf(type as () => unknown) : undefined;
  if (options === undefined) {
    const name = typeof type === 'function' ? type.name : String(type);
    throw new InvalidArgumentError(
      path,
      `${name} is no workflow; decorate the class with @Workflow({ name: … }).`,
    );
  }
  const { name, version, queue = DEFAULT_QUEUE, deadline, maxRecoveries = DEFAULT_MAX_RECOVERIES } = options;
  const deadlineMs = deadline === undefined ? undefined : parseDuration(deadline, 'deadline');
  return { name, version, queue, deadlineMs, maxRecoveries };
}
