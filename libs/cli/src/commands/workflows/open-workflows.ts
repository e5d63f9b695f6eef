import { createWorkflows, type WorkflowService } from '@nestbox/workflows';
import type { CommandContext } from '../../command/context.js';
import type { OptionSpec } from '../../command/define.js';
import { withSchema } from '../../connections/required-schema.js';

export interface WorkflowsOptions {
  readonly schema?: string | undefined;
}

export const WORKFLOWS_SCHEMA: OptionSpec = {
  flags: '--schema <name>',
  description: 'of the workflows; default: workflows',
};

/** Opens the workflows. It creates nothing, and runs none. */
export async function openWorkflows(
  context: CommandContext,
  options: WorkflowsOptions,
): Promise<WorkflowService> {
  const schema = options.schema ?? context.config.workflows?.schema;
  const service = createWorkflows(await context.connections.postgres(), { schema, migrate: false });
  context.connections.onClose(() => service.close());
  await withSchema(() => service.init(), { schema });
  return service;
}
