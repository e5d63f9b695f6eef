import type { RunStatus } from '@nestbox/workflows';
import { YES, command } from '../../command/define.js';
import { ExitCode } from '../../exit-codes.js';
import { WORKFLOWS_SCHEMA, openWorkflows, type WorkflowsOptions } from './open-workflows.js';

const OVER: readonly RunStatus[] = ['completed', 'failed', 'cancelled'];

export const workflowsCancel = command<WorkflowsOptions & { yes?: boolean }>({
  usage: 'cancel <id>',
  summary: 'cancel a run, and the runs that it has started',
  details:
    'What has steps with compensations is undone afterwards, by a worker. The exit code is 1 when it is over already.',
  options: [WORKFLOWS_SCHEMA, YES],
  examples: ['nestbox workflows cancel checkout-42'],
  async run(context, [id = ''], options) {
    const service = await openWorkflows(context, options);
    const { workflow, status } = await service.get(id).info();
    // There is nothing to lose where it does nothing.
    if (!OVER.includes(status)) {
      await context.confirm(`cancels run ${JSON.stringify(id)} of ${workflow}, which is ${status}`, options);
    }
    const cancelled = await service.cancel(id);
    const now = await service.get(id).status();
    if (context.isJson) context.printJson({ id, cancelled, status: now });
    else if (cancelled) context.print(`Run ${JSON.stringify(id)} is cancelled.`);
    else context.note(`Run ${JSON.stringify(id)} was over already: it is ${now}.`);
    return cancelled ? ExitCode.done : ExitCode.failed;
  },
});
