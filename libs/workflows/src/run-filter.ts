import { InvalidArgumentError, assertName, textProblem } from '@nestbox/core';
import type { RunQuery } from './workflow.queries.js';
import { RUN_STATUSES, type RunFilter } from './workflow.types.js';

export type CheckedFilter = Omit<RunQuery, 'before' | 'limit'>;

/** @throws InvalidArgumentError */
export function checkFilter({ workflow, status, queue, parent, from, to, search }: RunFilter): CheckedFilter {
  if (workflow !== undefined) assertName(workflow, 'filter.workflow');
  if (queue !== undefined) assertName(queue, 'filter.queue');
  if (parent !== undefined) assertName(parent, 'filter.parent');
  const statuses = status === undefined ? undefined : typeof status === 'string' ? [status] : status;
  for (const one of statuses ?? []) {
    if (RUN_STATUSES.includes(one)) continue;
    throw new InvalidArgumentError('filter.status', `"${one}" must be one of ${RUN_STATUSES.join(', ')}.`);
  }
  if (search !== undefined) {
    const problem = typeof search === 'string' ? textProblem(search) : 'must be a string.';
    if (problem !== undefined) throw new InvalidArgumentError('filter.search', problem);
  }
  return {
    workflow,
    statuses,
    queue,
    parentId: parent,
    fromMs: timeOf(from, 'filter.from'),
    toMs: timeOf(to, 'filter.to'),
    search,
  };
}

export function encodeCursor({ createdAtMs, id }: { createdAtMs: number; id: string }): string {
  return Buffer.from(JSON.stringify([createdAtMs, id])).toString('base64url');
}

/** @throws InvalidArgumentError for a text that no page gave */
export function decodeCursor(cursor: string): { createdAtMs: number; id: string } {
  try {
    const decoded: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (Array.isArray(decoded) && typeof decoded[0] === 'number' && typeof decoded[1] === 'string') {
      return { createdAtMs: decoded[0], id: decoded[1] };
    }
  } catch {
    // Said below.
  }
  throw new InvalidArgumentError('cursor', 'is none that list() gave.');
}

function timeOf(time: Date | undefined, path: string): number | undefined {
  if (time === undefined) return undefined;
  const ms = time instanceof Date ? time.getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw new InvalidArgumentError(path, 'must be a valid Date.');
  return ms;
}
