import { command } from '../../command/define.js';
import { count } from '../../command/option-values.js';
import { WORKFLOWS_SCHEMA, openWorkflows, type WorkflowsOptions } from './open-workflows.js';
import { RUN_COLUMNS, runJson, runRow } from './run-rows.js';

interface DeadOptions extends WorkflowsOptions {
  readonly workflow?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export const workflowsDead = command<DeadOptions>({
  usage: 'dead',
  summary: 'list runs that nobody takes any more: dead and stuck ones',
  details:
    'A dead run lost its worker too often; a stuck one met code that does not fit its history. Both stay until somebody resumes, retries or cancels them.',
  options: [
    { flags: '--workflow <name>', description: 'only runs of this workflow' },
    { flags: '--limit <n>', description: 'default: 50', read: count('--limit', 1_000) },
    { flags: '--cursor <text>', description: 'where the page before ended' },
    WORKFLOWS_SCHEMA,
  ],
  examples: ['nestbox workflows dead', 'nestbox workflows dead --json'],
  async run(context, _args, options) {
    const { workflow, limit, cursor } = options;
    const service = await openWorkflows(context, options);
    const page = await service.list({ workflow, limit, cursor, status: ['dead', 'stuck'] });
    if (context.isJson) {
      context.printJson({ runs: page.runs.map(runJson), cursor: page.cursor ?? null });
      return;
    }
    context.printTable(RUN_COLUMNS, page.runs.map(runRow), 'No run is dead or stuck.');
    context.noteMore(page.cursor);
  },
});
