import type { RunInfo } from '@nestbox/workflows';
import { formatTime, formatValue } from '../../output/format.js';
import type { Column } from '../../output/table.js';

export const RUN_COLUMNS: readonly Column[] = [
  { header: 'ID' },
  { header: 'WORKFLOW', isFlexible: true },
  { header: 'STATUS' },
  { header: 'QUEUE', isFlexible: true },
  { header: 'CREATED' },
  { header: 'UPDATED' },
  { header: 'ERROR', isFlexible: true },
];

export function runRow({ id, workflow, status, queue, createdAt, updatedAt, error }: RunInfo): string[] {
  return [id, workflow, status, queue, formatTime(createdAt), formatTime(updatedAt), problemOf(error)];
}

/** A run as JSON has it: every field is there. */
export function runJson(run: RunInfo): object {
  return {
    id: run.id,
    workflow: run.workflow,
    version: run.version ?? null,
    status: run.status,
    queue: run.queue,
    priority: run.priority,
    parent: run.parent ?? null,
    forkedFrom: run.forkedFrom ?? null,
    input: run.input ?? null,
    output: run.output ?? null,
    error: run.error ?? null,
    createdAt: run.createdAt,
    updatedAt: run.updatedAt,
  };
}

/** What an error says, however it was recorded. */
export function problemOf(error: unknown): string {
  if (error === undefined || error === null) return '';
  if (typeof error !== 'object') return formatValue(error);
  const { name, message } = error as { name?: unknown; message?: unknown };
  return typeof message === 'string'
    ? `${typeof name === 'string' ? `${name}: ` : ''}${message}`
    : formatValue(error);
}
