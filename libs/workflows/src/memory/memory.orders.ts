import type { Encoded, SignalOutcome } from '../workflow.backend.js';
import {
  ACTIVE,
  RUNS,
  SIGNALS,
  STEPS,
  VALUES,
  findStep,
  type ActiveRun,
  type StoredRun,
  type StoredStep,
} from './memory.tables.js';
import { newActive } from './memory.starts.js';
import { ready, wake } from './memory.transitions.js';
import type { Operation } from './operation.js';

/** What comes before the name of a step in that of its compensation. */
const UNDO = 'undo:';

/** @see WorkflowBackend.signal */
export function sendSignal(
  op: Operation,
  runId: string,
  name: string,
  payload: Encoded,
  dedupe: string | undefined,
): SignalOutcome {
  const run = op.get(RUNS, runId);
  if (run === undefined) return { kind: 'absent' };
  const sent = op.get(SIGNALS, runId) ?? [];
  if (dedupe !== undefined && sent.some((one) => one.name === name && one.dedupe === dedupe)) {
    return { kind: 'repeated' };
  }
  const active = op.get(ACTIVE, runId);
  // Those that are stuck or dead may go on, and then want it.
  if (active === undefined || run.status === 'cancelled') return { kind: 'ended', status: run.status };
  const id = op.sequences.nextSignal();
  op.set(SIGNALS, runId, [...sent, { id, name, payload, dedupe, takenBy: undefined }]);
  const woke = active.state === 'parked' && active.signals.includes(name);
  if (woke) wake(op, active);
  // It may be about to park: that has to come before this, or after it.
  else op.set(ACTIVE, runId, active);
  if (active.worker !== undefined) op.notices.workers.add(active.worker);
  return { kind: 'sent', worker: active.worker, woke };
}

/** @see WorkflowBackend.resume */
export function resumeRuns(op: Operation, runIds: readonly string[]): string[] {
  return [...new Set(runIds)].filter((id) => {
    const run = op.get(RUNS, id);
    const active = op.get(ACTIVE, id);
    if (run === undefined) return false;
    if (active?.state === 'parked') {
      wake(op, active);
      return true;
    }
    if (!canGoOn(run, active) || run.status === 'failed') return false;
    goOn(op, run, run.status === 'cancelled' ? undefined : active);
    return true;
  });
}

/** @see WorkflowBackend.retry */
export function retryRuns(op: Operation, runIds: readonly string[], fromStep: string | undefined): string[] {
  return [...new Set(runIds)].filter((id) => {
    const run = op.get(RUNS, id);
    if (run === undefined || !canGoOn(run, op.get(ACTIVE, id))) return false;
    const steps = op.get(STEPS, id) ?? new Map<string, StoredStep>();
    const from = fromStep === undefined ? undefined : findStep(steps, fromStep);
    if (fromStep !== undefined && from === undefined) return false;
    forget(op, id, steps, from);
    goOn(op, run, undefined);
    return true;
  });
}

/** Whether a run is over, and nobody is winding it up. */
function canGoOn({ status }: StoredRun, active: ActiveRun | undefined): boolean {
  const isOver = status === 'failed' || status === 'cancelled' || status === 'stuck' || status === 'dead';
  return isOver && active?.state !== 'claimed';
}

/** @param active what it keeps its deadline of */
function goOn(op: Operation, run: StoredRun, active: ActiveRun | undefined): void {
  op.set(RUNS, run.id, {
    ...run,
    status: 'running',
    output: undefined,
    error: undefined,
    updatedAtMs: op.nowMs,
  });
  const anew = newActive(op, run);
  op.set(ACTIVE, run.id, { ...anew, ...ready(op), deadlineAt: active?.deadlineAt ?? anew.deadlineAt });
}

/** Deletes the steps that shall be done again, as if they had never been. */
function forget(
  op: Operation,
  runId: string,
  steps: ReadonlyMap<string, StoredStep>,
  from: StoredStep | undefined,
): void {
  const undone = [...steps.values()]
    .filter(({ kind, name }) => kind === 'compensation' && name.startsWith(UNDO))
    .map(({ name }) => steps.get(name.slice(UNDO.length))?.seq ?? Infinity);
  const fromSeq = Math.min(from?.seq ?? Infinity, ...undone);
  const kept = [...steps.values()].filter(
    ({ kind, seq, status }) =>
      kind !== 'compensation' &&
      seq < fromSeq &&
      (from !== undefined || (status !== 'error' && status !== 'pending')),
  );
  const names = new Set(kept.map(({ name }) => name));
  op.set(STEPS, runId, new Map(kept.map((step) => [step.name, step])));
  // What the forgotten steps took is there for them again.
  const signals = op.get(SIGNALS, runId) ?? [];
  op.set(
    SIGNALS,
    runId,
    signals.map((signal) =>
      signal.takenBy === undefined || names.has(signal.takenBy) ? signal : { ...signal, takenBy: undefined },
    ),
  );
  // It shows them until they are written again, from the first time on.
  const values = [...(op.get(VALUES, runId) ?? [])];
  op.set(VALUES, runId, new Map(values.map(([key, { value }]) => [key, { value, writes: 0 }])));
}
