import { InvalidArgumentError, assertName, parseDuration } from '@nestbox/core';
import { SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { WorkflowContext } from './workflow-context.js';
import type { WorkflowOptions } from './workflow.types.js';

const WORKFLOW = 'nestbox:workflow';

/** What a `@Workflow` class implements. */
export interface WorkflowHandler<Input = unknown, Output = unknown> {
  /**
   * Is called again from its beginning whenever the run goes on after a crash, a wait or a deployment; what the context
   * has recorded is then not done again. So all that depends on anything but `input` goes through the context.
   */
  run(context: WorkflowContext, input: Input): Promise<Output>;
}

/** A class whose instances are workflows. */
// oxlint-disable-next-line typescript/no-explicit-any -- A constructor's parameters are what its module injects.
export type WorkflowClass<Input = any, Output = any> = new (...args: any[]) => WorkflowHandler<Input, Output>;

/** What `run` of a workflow class takes. */
export type InputOf<W extends WorkflowClass> = Parameters<InstanceType<W>['run']>[1];
/** What `run` of a workflow class resolves to. */
export type OutputOf<W extends WorkflowClass> = Awaited<ReturnType<InstanceType<W>['run']>>;

/**
 * Makes a provider a workflow.
 *
 * @throws InvalidArgumentError
 */
export function Workflow(options: WorkflowOptions): ClassDecorator {
  checkOptions(options);
  return (target) => {
    if (Reflect.hasOwnMetadata(WORKFLOW, target)) {
      throw new InvalidArgumentError('@Workflow', `${target.name} has it twice; write a class for each.`);
    }
    SetMetadata<string, WorkflowOptions>(WORKFLOW, options)(target);
  };
}

/** What a class was decorated with, itself or by a class that it extends. */
export function workflowOptionsOf(type: () => unknown): WorkflowOptions | undefined {
  return new Reflector().get<WorkflowOptions | undefined>(WORKFLOW, type);
}

function checkOptions({ name, version, queue, deadline, maxRecoveries }: WorkflowOptions): void {
  assertName(name, 'name');
  if (version !== undefined) assertName(version, 'version');
  if (queue !== undefined) assertName(queue, 'queue');
  if (deadline !== undefined) parseDuration(deadline, 'deadline');
  if (maxRecoveries !== undefined && !(Number.isSafeInteger(maxRecoveries) && maxRecoveries >= 0)) {
    throw new InvalidArgumentError('maxRecoveries', `${maxRecoveries} must be a whole number of at least 0.`);
  }
}
