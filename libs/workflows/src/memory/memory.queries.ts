import { compareUtf8 } from '@nestbox/core';
import type { News, RunRow } from '../workflow.backend.js';
import type { Figures, RunQuery } from '../workflow.queries.js';
import type { RunStatus } from '../workflow.types.js';
import {
  ACTIVE,
  RUNS,
  SIGNALS,
  STEPS,
  VALUES,
  decode,
  isOver,
  runRowOf,
  type StoredRun,
} from './memory.tables.js';
import type { Operation } from './operation.js';

/** @see WorkflowBackend.news */
export function newsOf(
  op: Operation,
  worker: string,
  runIds: readonly string[],
  children: readonly string[],
): News {
  const endings = [...op.rows(ACTIVE)].flatMap(({ runId, worker: owner, ending, claim }) =>
    // One that has failed is no news to the worker that has said so.
    owner === worker && ending !== undefined && ending !== 'failed' ? [{ runId, ending, claim }] : [],
  );
  const signals = [...new Set(runIds)]
    .flatMap((runId) =>
      (op.get(SIGNALS, runId) ?? [])
        .filter(({ takenBy }) => takenBy === undefined)
        .map(({ id, name, payload }) => ({ id, runId, name, payload: decode(payload) })),
    )
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const outcomes = runsOf(op, children).filter(isOver).map(runRowOf);
  return { endings, signals, outcomes };
}

/** @see WorkflowBackend.get */
export function getRuns(op: Operation, ids: readonly string[]): RunRow[] {
  return runsOf(op, ids).map(runRowOf);
}

/** @see WorkflowBackend.list */
export function listRuns(op: Operation, query: RunQuery): RunRow[] {
  const { before, limit } = query;
  return [...op.rows(RUNS)]
    .filter((run) => matches(run, query) && (before === undefined || newestFirst(before, run) < 0))
    .sort(newestFirst)
    .slice(0, limit)
    .map(runRowOf);
}

/** @see WorkflowBackend.values */
export function valuesOf(op: Operation, runId: string): Map<string, unknown> {
  const values = [...(op.get(VALUES, runId) ?? [])];
  return new Map(values.map(([key, { value }]) => [key, decode(value)]));
}

/** @see WorkflowBackend.counts */
export function countRuns(op: Operation): Record<string, Partial<Record<RunStatus, number>>> {
  const counts: Record<string, Partial<Record<RunStatus, number>>> = Object.create(null) as Record<
    string,
    never
  >;
  for (const { workflow, status } of op.rows(RUNS)) {
    const own = (counts[workflow] ??= {});
    own[status] = (own[status] ?? 0) + 1;
  }
  return counts;
}

/** @see WorkflowBackend.figures */
export function figuresOf(op: Operation): Figures {
  const counts = { ready: 0, claimed: 0, parked: 0, stuck: 0, dead: 0 };
  let oldest = Infinity;
  for (const { state, dueAt } of op.rows(ACTIVE)) {
    counts[state]++;
    if (state === 'ready') oldest = Math.min(oldest, dueAt);
  }
  return { ...counts, oldestReadyMs: oldest === Infinity ? undefined : Math.max(0, op.now - oldest) };
}

/** @see WorkflowBackend.deleteEnded */
export function deleteEnded(op: Operation, olderThanMs: number, limit: number): number {
  const old = [...op.rows(RUNS)]
    .filter(({ id, status, updatedAtMs }) => {
      const isEnded = status === 'completed' || status === 'failed' || status === 'cancelled';
      // A cancelled one may still have to be wound up.
      return isEnded && updatedAtMs <= op.now - olderThanMs && op.get(ACTIVE, id) === undefined;
    })
    .sort((a, b) => a.updatedAtMs - b.updatedAtMs)
    .slice(0, limit);
  for (const { id } of old) {
    for (const table of [RUNS, STEPS, SIGNALS, VALUES]) op.delete<unknown, string>(table, id);
  }
  return old.length;
}

function runsOf(op: Operation, ids: readonly string[]): StoredRun[] {
  return [...new Set(ids)].flatMap((id) => op.get(RUNS, id) ?? []);
}

function matches(run: StoredRun, query: RunQuery): boolean {
  const { ids, workflow, statuses, queue, parentId, fromMs = -Infinity, toMs = Infinity, search } = query;
  return (
    (ids === undefined || ids.includes(run.id)) &&
    (workflow === undefined || workflow === run.workflow) &&
    (statuses === undefined || statuses.includes(run.status)) &&
    (queue === undefined || queue === run.queue) &&
    (parentId === undefined || parentId === run.parentId) &&
    run.createdAtMs >= fromMs &&
    run.createdAtMs < toMs &&
    (search === undefined || contains(run, search.toLowerCase()))
  );
}

function contains({ id, workflow, input, output = '', error = '' }: StoredRun, text: string): boolean {
  // In JSON, quotes and line breaks are escaped.
  const escaped = JSON.stringify(text).slice(1, -1);
  return (
    [id, workflow].some((name) => name.toLowerCase().includes(text)) ||
    [input, output, error].some((json) => json.toLowerCase().includes(escaped))
  );
}

type Place = Pick<RunRow, 'createdAtMs' | 'id'>;

function newestFirst(a: Place, b: Place): number {
  return b.createdAtMs - a.createdAtMs || compareUtf8(b.id, a.id);
}
