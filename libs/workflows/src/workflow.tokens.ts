import { Inject, type InjectionToken } from '@nestjs/common';
import { WorkflowService } from './workflow-service.js';

/** The injection token of a service: the class WorkflowService itself without a name. */
export function getWorkflowToken(name?: string): InjectionToken<WorkflowService> {
  return name === undefined ? WorkflowService : `NestboxWorkflows:${name}`;
}

/** Injects the WorkflowService of that name. */
export function InjectWorkflows(name?: string): PropertyDecorator & ParameterDecorator {
  return Inject(getWorkflowToken(name));
}
