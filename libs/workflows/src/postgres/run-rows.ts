import { decodeValue } from '../values/typed-value.js';
import type { LoadedStep, RunRow } from '../workflow.backend.js';
import type { RunStatus, StepKind, StepStatus } from '../workflow.types.js';

type Row = Record<string, unknown>;

/*
 * The columns have names that no client's transformation of names touches. JSON comes as text: clients that were passed
 * in may parse it in ways of their own, and a parsed null looks like none at all.
 */

/** The columns of a step `s` that {@link loadedStepOf} reads. */
export const STEP_COLUMNS = `s.step_name as name, s.kind, s.status, s.result::text as result, s.error::text as error,
  s.seq, s.after as prior, s.attempts, s.duration_ms as duration,
  (extract(epoch from s.wake_at - clock_timestamp()) * 1000)::float8 as remaining,
  (extract(epoch from s.wake_at) * 1000)::float8 as wake, s.updated_at::float8 as updated`;

export function loadedStepOf(row: Row): LoadedStep {
  return {
    name: row['name'] as string,
    kind: row['kind'] as StepKind,
    status: row['status'] as StepStatus,
    result: valueOf(row['result']),
    error: valueOf(row['error']),
    seq: Number(row['seq']),
    after: textOf(row['prior']),
    attempts: Number(row['attempts']),
    durationMs: numberOf(row['duration']),
    remainingMs: numberOf(row['remaining']),
    wakeAtMs: numberOf(row['wake']),
    updatedAtMs: Number(row['updated']),
  };
}

/** The columns of a run `r` that {@link runRowOf} reads. */
export const RUN_COLUMNS = `r.id, r.workflow, r.version, r.status, r.input::text as input, r.output::text as output,
  r.error::text as error, coalesce(r.queue, 'default') as queue, r.priority, r.parent_id as parent,
  r.forked_from as origin, r.created_at::float8 as created, r.updated_at::float8 as updated`;

export function runRowOf(row: Row): RunRow {
  return {
    id: row['id'] as string,
    workflow: row['workflow'] as string,
    version: textOf(row['version']),
    status: row['status'] as RunStatus,
    input: valueOf(row['input']),
    output: valueOf(row['output']),
    error: valueOf(row['error']),
    queue: row['queue'] as string,
    priority: Number(row['priority']),
    parentId: textOf(row['parent']),
    forkedFrom: textOf(row['origin']),
    createdAtMs: Number(row['created']),
    updatedAtMs: Number(row['updated']),
  };
}

/** The value that stands in a column of JSON, as text; undefined for none. */
export function valueOf(text: unknown): unknown {
  return text === null ? undefined : decodeValue(JSON.parse(text as string));
}

export function textOf(value: unknown): string | undefined {
  return (value as string | null) ?? undefined;
}

export function numberOf(value: unknown): number | undefined {
  return value === null ? undefined : Number(value);
}
