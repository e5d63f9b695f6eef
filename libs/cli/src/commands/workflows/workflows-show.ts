import type { RunInfo, StepInfo } from '@nestbox/workflows';
import { command } from '../../command/define.js';
import { formatMs, formatTime, formatValue } from '../../output/format.js';
import { facts, type Column } from '../../output/table.js';
import { WORKFLOWS_SCHEMA, openWorkflows, type WorkflowsOptions } from './open-workflows.js';
import { problemOf, runJson } from './run-rows.js';

const COLUMNS: readonly Column[] = [
  { header: 'STEP', isFlexible: true },
  { header: 'KIND' },
  { header: 'STATUS' },
  { header: 'TRIES', align: 'right' },
  { header: 'TOOK', align: 'right' },
  { header: 'UPDATED' },
  { header: 'RESULT', isFlexible: true },
];

export const workflowsShow = command<WorkflowsOptions>({
  usage: 'show <id>',
  summary: 'print a run with its steps and its values',
  details: 'The exit code is 4 when there is no such run.',
  options: [WORKFLOWS_SCHEMA],
  examples: ['nestbox workflows show checkout-42', 'nestbox workflows show checkout-42 --json'],
  async run(context, [id = ''], options) {
    const service = await openWorkflows(context, options);
    const handle = service.get(id);
    const run = await handle.info();
    const steps = await handle.steps();
    const values = await handle.values();
    if (context.isJson) {
      context.printJson({ run: runJson(run), steps: steps.map(stepJson), values });
      return;
    }
    context.print(facts(factsOf(run, values)));
    if (steps.length > 0) context.print('');
    context.printTable(COLUMNS, steps.map(rowOf), 'It has no steps yet.');
  },
});

function factsOf(run: RunInfo, values: Record<string, unknown>): [string, string][] {
  const all: [string, string][] = [
    ['run', run.id],
    ['workflow', run.version === undefined ? run.workflow : `${run.workflow} (version ${run.version})`],
    ['status', run.status],
    ['queue', `${run.queue}, priority ${run.priority}`],
    ['parent', run.parent ?? ''],
    ['forked from', run.forkedFrom ?? ''],
    ['created', formatTime(run.createdAt)],
    ['updated', formatTime(run.updatedAt)],
    ['input', formatValue(run.input)],
    ['output', formatValue(run.output)],
    ['error', problemOf(run.error)],
    ...Object.entries(values).map(([key, value]): [string, string] => [`value ${key}`, formatValue(value)]),
  ];
  return all.filter(([, value]) => value !== '');
}

function rowOf({
  name,
  kind,
  status,
  attempts,
  durationMs,
  wakeAt,
  updatedAt,
  result,
  error,
}: StepInfo): string[] {
  const outcome = error === undefined ? formatValue(result) : problemOf(error);
  return [
    name,
    kind,
    status === 'pending' && wakeAt !== undefined ? `until ${formatTime(wakeAt)}` : status,
    String(attempts),
    durationMs === undefined ? '' : formatMs(durationMs),
    formatTime(updatedAt),
    outcome,
  ];
}

function stepJson(step: StepInfo): object {
  return {
    ...step,
    result: step.result ?? null,
    error: step.error ?? null,
    durationMs: step.durationMs ?? null,
    wakeAt: step.wakeAt ?? null,
  };
}
