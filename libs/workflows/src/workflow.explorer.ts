import { InvalidArgumentError } from '@nestbox/core';
import { ProviderClass, isForModule } from '@nestbox/nest';
import type { DiscoveryService, ModuleRef } from '@nestjs/core';
import { workflowOptionsOf } from './workflow.decorator.js';
import { getWorkflowToken } from './workflow.tokens.js';

/** A workflow that the application provides. */
export interface DiscoveredWorkflow {
  readonly name: string;
  readonly instance: object;
}

/** Finds the `@Workflow` classes among the application's providers. */
export class WorkflowExplorer {
  constructor(
    private readonly name: string | undefined,
    private readonly discovery: DiscoveryService,
    private readonly moduleRef: ModuleRef,
  ) {}

  /**
   * Those of this module, once all of them have been made.
   *
   * @throws InvalidArgumentError which names the class
   */
  explore(): DiscoveredWorkflow[] {
    const module = {
      what: 'workflow module',
      moduleName: 'WorkflowModule',
      name: this.name,
      tokenOf: getWorkflowToken,
    };
    const found = new Map<string, ProviderClass>();
    for (const provider of ProviderClass.all(this.discovery, this.moduleRef)) {
      const options = workflowOptionsOf(provider.type);
      if (options === undefined) continue;
      if (!isForModule(module, this.moduleRef, '@Workflow', provider.name, options.store)) continue;
      assertUsable(provider);
      const other = found.get(options.name);
      if (other !== undefined) throw sameName(options.name, other, provider);
      found.set(options.name, provider);
    }
    return Array.from(found, ([name, { singleton }]) => ({ name, instance: singleton as object }));
  }
}

function assertUsable(provider: ProviderClass): void {
  const { name, isSingleton } = provider;
  if (!isSingleton) {
    throw new InvalidArgumentError(
      '@Workflow',
      `${name} is made anew for each request or for each who injects it (it, or something that it injects, has a scope). ` +
        'A run has no request, and all runs share one instance: take the scope away, and give a run what it needs as its input.',
    );
  }
  if (!provider.has('run')) {
    throw new InvalidArgumentError('@Workflow', `${name} has no method run(context, input). Add it.`);
  }
}

function sameName(name: string, one: ProviderClass, other: ProviderClass): InvalidArgumentError {
  return new InvalidArgumentError(
    'name',
    `${describe(one)} and ${describe(other)} are both workflow "${name}". ` +
      (one.type === other.type
        ? 'Provide the class in one module, and export it to the others.'
        : 'Give one of them another name.'),
  );
}

function describe({ name, module }: ProviderClass): string {
  return module === undefined ? name : `${name} (in ${module})`;
}
