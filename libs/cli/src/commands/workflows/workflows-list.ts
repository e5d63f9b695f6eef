import { RUN_STATUSES, type RunStatus } from '@nestbox/workflows';
import { command } from '../../command/define.js';
import { count, time } from '../../command/option-values.js';
import { didYouMean } from '../../nearest.js';
import { UsageError } from '../../usage-error.js';
import { WORKFLOWS_SCHEMA, openWorkflows, type WorkflowsOptions } from './open-workflows.js';
import { RUN_COLUMNS, runJson, runRow } from './run-rows.js';

interface ListOptions extends WorkflowsOptions {
  readonly workflow?: string | undefined;
  readonly status?: readonly RunStatus[] | undefined;
  readonly queue?: string | undefined;
  readonly search?: string | undefined;
  readonly from?: Date | undefined;
  readonly to?: Date | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export const workflowsList = command<ListOptions>({
  usage: 'list',
  summary: 'list runs, the newest first',
  options: [
    { flags: '--workflow <name>', description: 'only runs of this workflow' },
    {
      flags: '--status <status>',
      description: `only runs that are ${RUN_STATUSES.join(', ')}; several with commas`,
      read: readStatuses,
    },
    { flags: '--queue <name>', description: 'only runs of this queue' },
    {
      flags: '--search <text>',
      description: 'only runs with it in the id, workflow, input, output or error',
    },
    {
      flags: '--from <time>',
      description: 'created then or later, such as 2030-01-31T12:00:00Z',
      read: time('--from'),
    },
    { flags: '--to <time>', description: 'created before', read: time('--to') },
    { flags: '--limit <n>', description: 'default: 50', read: count('--limit', 1_000) },
    { flags: '--cursor <text>', description: 'where the page before ended' },
    WORKFLOWS_SCHEMA,
  ],
  examples: [
    'nestbox workflows list',
    'nestbox workflows list --status failed,dead --workflow order.checkout --json',
  ],
  async run(context, _args, options) {
    const { workflow, status, queue, search, from, to, limit, cursor } = options;
    const service = await openWorkflows(context, options);
    const page = await service.list({ workflow, status, queue, search, from, to, limit, cursor });
    if (context.isJson) {
      context.printJson({ runs: page.runs.map(runJson), cursor: page.cursor ?? null });
      return;
    }
    context.printTable(RUN_COLUMNS, page.runs.map(runRow), 'There are no such runs.');
    context.noteMore(page.cursor);
  },
});

function readStatuses(text: string): RunStatus[] {
  return text.split(',').map((word) => {
    const found = RUN_STATUSES.find((status) => status === word.trim());
    if (found !== undefined) return found;
    throw new UsageError(
      `--status "${word}" is none${didYouMean(word, RUN_STATUSES)}; known are: ${RUN_STATUSES.join(', ')}`,
    );
  });
}
