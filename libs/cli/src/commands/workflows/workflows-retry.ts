import { command } from '../../command/define.js';
import { WORKFLOWS_SCHEMA, openWorkflows, type WorkflowsOptions } from './open-workflows.js';

export const workflowsRetry = command<WorkflowsOptions & { fromStep?: string }>({
  usage: 'retry <id>',
  summary: 'run an ended run again, without the steps that failed or were undone',
  details: 'For runs that are failed, dead, stuck or cancelled.',
  options: [
    { flags: '--from-step <name>', description: 'run this step and all behind it again' },
    WORKFLOWS_SCHEMA,
  ],
  examples: ['nestbox workflows retry checkout-42', 'nestbox workflows retry checkout-42 --from-step charge'],
  async run(context, [id = ''], options) {
    const service = await openWorkflows(context, options);
    await service.retry(id, { fromStep: options.fromStep });
    const status = await service.get(id).status();
    if (context.isJson) context.printJson({ id, status });
    else context.print(`Run ${JSON.stringify(id)} is ${status}; a worker takes it up.`);
  },
});
