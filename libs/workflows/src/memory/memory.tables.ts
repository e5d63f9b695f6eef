import { compareUtf8, RowTable } from '@nestbox/core';
import type { Encoded, Ending, LoadedStep, QueueRow, RunRow, ScheduleRow } from '../workflow.backend.js';
import type { RunStatus, StepKind, StepStatus } from '../workflow.types.js';
import { decodeValue } from '../values/typed-value.js';

// Values are kept as text: so nobody shares an object with the store, and what is read is what PostgreSQL would give.

/** A run, ended or not. */
export interface StoredRun {
  readonly id: string;
  readonly workflow: string;
  readonly version: string | undefined;
  readonly status: RunStatus;
  readonly input: Encoded;
  readonly output: Encoded | undefined;
  readonly error: Encoded | undefined;
  readonly queue: string;
  readonly priority: number;
  readonly partitionKey: string | undefined;
  readonly deadlineMs: number | undefined;
  readonly maxRecoveries: number;
  readonly parentId: string | undefined;
  readonly forkedFrom: string | undefined;
  readonly traceparent: string | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** What a run that is not over waits for, and who has it. */
export interface ActiveRun {
  readonly runId: string;
  readonly workflow: string;
  readonly queue: string;
  readonly partitionKey: string | undefined;
  readonly state: 'ready' | 'claimed' | 'parked' | 'stuck' | 'dead';
  readonly worker: string | undefined;
  /** Drawn anew with each claim; whoever writes shows the one that it got. */
  readonly claim: bigint;
  readonly ending: Ending | undefined;
  readonly signals: readonly string[];
  readonly children: readonly string[];
  /** When it became ready; when a parked one has to wake, which may be never: Infinity. */
  readonly dueAt: number;
  /** Orders those that became ready at the same time. */
  readonly turn: number;
  readonly deadlineAt: number | undefined;
  readonly priority: number;
  readonly recoveries: number;
  readonly maxRecoveries: number;
}

export interface StoredStep {
  readonly name: string;
  readonly kind: StepKind;
  readonly status: StepStatus;
  readonly result: Encoded | undefined;
  readonly error: Encoded | undefined;
  readonly seq: number;
  readonly after: string | undefined;
  readonly attempts: number;
  readonly durationMs: number | undefined;
  readonly wakeAt: number | undefined;
  readonly isCompensable: boolean;
  readonly updatedAtMs: number;
}

export interface StoredSignal {
  readonly id: bigint;
  readonly name: string;
  readonly payload: Encoded;
  readonly dedupe: string | undefined;
  /** The step that it went to. */
  readonly takenBy: string | undefined;
}

export interface StoredValue {
  readonly value: Encoded;
  readonly writes: number;
}

export interface StoredQueue extends QueueRow {
  /** The times of the last claims, the oldest first. */
  readonly starts: readonly number[];
}

/** By id. */
export const RUNS = new RowTable<StoredRun>('runs');
/** By the run's id. */
export const ACTIVE = new RowTable<ActiveRun>('active');
/** By the run's id, then by name. */
export const STEPS = new RowTable<ReadonlyMap<string, StoredStep>>('steps');
/** By the run's id; in the order in which they came. */
export const SIGNALS = new RowTable<readonly StoredSignal[]>('signals');
/** By the run's id, then by key. */
export const VALUES = new RowTable<ReadonlyMap<string, StoredValue>>('values');
/** By name. */
export const QUEUES = new RowTable<StoredQueue>('queues');
/** By name. */
export const SCHEDULES = new RowTable<ScheduleRow>('schedules');

/** Those whose parents need not wait any more. */
const OVER: ReadonlySet<RunStatus> = new Set<RunStatus>(['completed', 'failed', 'cancelled', 'dead']);

/** Whether a parent that waits for this run has its answer. */
export function isOver({ status }: StoredRun): boolean {
  return OVER.has(status);
}

export function decode(text: Encoded | undefined): unknown {
  return text === undefined ? undefined : decodeValue(JSON.parse(text));
}

export function runRowOf(run: StoredRun): RunRow {
  const { id, workflow, version, status, queue, priority, parentId, forkedFrom, createdAtMs, updatedAtMs } =
    run;
  return {
    id,
    workflow,
    version,
    status,
    input: decode(run.input),
    output: decode(run.output),
    error: decode(run.error),
    queue,
    priority,
    parentId,
    forkedFrom,
    createdAtMs,
    updatedAtMs,
  };
}

/** A step that code has called; nobody goes on from a compensation. */
export function findStep(
  steps: ReadonlyMap<string, StoredStep> | undefined,
  name: string,
): StoredStep | undefined {
  const step = steps?.get(name);
  return step?.kind === 'compensation' ? undefined : step;
}

/** In the order of `seq`. */
export function loadedStepsOf(steps: ReadonlyMap<string, StoredStep> | undefined, now: number): LoadedStep[] {
  return [...(steps?.values() ?? [])]
    .sort((a, b) => a.seq - b.seq || compareUtf8(a.name, b.name))
    .map((step) => loadedStepOf(step, now));
}

function loadedStepOf(step: StoredStep, now: number): LoadedStep {
  const { name, kind, status, seq, after, attempts, durationMs, wakeAt, updatedAtMs } = step;
  return {
    name,
    kind,
    status,
    result: decode(step.result),
    error: decode(step.error),
    seq,
    after,
    attempts,
    durationMs,
    remainingMs: wakeAt === undefined ? undefined : wakeAt - now,
    wakeAtMs: wakeAt,
    updatedAtMs,
  };
}
