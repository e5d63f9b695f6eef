import { InvalidArgumentError } from '@nestbox/core';
import type { WorkflowHandler } from '../workflow.decorator.js';
import type { Execution } from './execution.js';
import { place } from './ambient.js';
import { describeWorkflow } from './describe-workflow.js';
import { RunContext } from './run-context.js';

/** A workflow that this process can run. */
export interface WorkflowDefinition {
  readonly name: string;
  run(execution: Execution, input: unknown): Promise<unknown>;
}

/**
 * @param instance of a class with `@Workflow`
 * @throws InvalidArgumentError
 */
export function defineWorkflow(instance: object): WorkflowDefinition {
  const { name } = describeWorkflow(instance.constructor, 'workflows');
  if (!isHandler(instance)) {
    throw new InvalidArgumentError(
      'workflows',
      `${instance.constructor.name} has no method run(context, input).`,
    );
  }
  return {
    name,
    run: (execution, input) => {
      const context = new RunContext(execution, '');
      return place.run({ context, after: undefined, isInStep: false }, async () =>
        instance.run(context, input),
      );
    },
  };
}

function isHandler(instance: object): instance is WorkflowHandler {
  return typeof Reflect.get(instance, 'run') === 'function';
}
