import { command } from '../../command/define.js';
import { WORKFLOWS_SCHEMA, openWorkflows, type WorkflowsOptions } from './open-workflows.js';

export const workflowsResume = command<WorkflowsOptions>({
  usage: 'resume <id>',
  summary: 'let a stuck, dead or cancelled run go on from where it is, or wake a suspended one',
  options: [WORKFLOWS_SCHEMA],
  examples: ['nestbox workflows resume checkout-42'],
  async run(context, [id = ''], options) {
    const service = await openWorkflows(context, options);
    await service.resume(id);
    const status = await service.get(id).status();
    if (context.isJson) context.printJson({ id, status });
    else context.print(`Run ${JSON.stringify(id)} is ${status}; a worker takes it up.`);
  },
});
