import type { RunEnd, RunWrite, StepRecord, WriteOutcome } from '../workflow.backend.js';
import {
  ACTIVE,
  RUNS,
  SIGNALS,
  STEPS,
  VALUES,
  isOver,
  type ActiveRun,
  type StoredStep,
} from './memory.tables.js';
import { leaveQueue, ready, setRun, tellParent } from './memory.transitions.js';
import type { Operation } from './operation.js';

/** @see WorkflowBackend.write */
export function writeRun(op: Operation, write: RunWrite): WriteOutcome {
  const active = op.get(ACTIVE, write.runId);
  if (active?.state !== 'claimed' || active.claim !== write.claim) {
    return { held: false, ending: undefined, done: false };
  }
  const held = { ...active, recoveries: write.isProgress ? 0 : active.recoveries };
  // Written in any case: whoever would take the run over meanwhile waits for the end of this transaction.
  op.set(ACTIVE, write.runId, held);
  writeSteps(op, write);
  writeValues(op, write);
  const done = write.end === undefined || goOn(op, held, write.end);
  if (done && isAnEnd(write.end) && write.isAwaitedElsewhere) op.notices.ended = true;
  return { held: true, ending: active.ending, done };
}

function writeSteps(op: Operation, { runId, steps }: RunWrite): void {
  if (steps.length === 0) return;
  const all = new Map(op.get(STEPS, runId));
  for (const step of steps) {
    const before = all.get(step.name);
    // What has a result keeps it.
    if (before === undefined || before.status === 'pending' || before.status === 'scheduled') {
      all.set(step.name, storedStepOf(op, step, before));
    }
    if (step.signalId !== undefined) takeSignal(op, runId, step.signalId, step.name);
  }
  op.set(STEPS, runId, all);
}

function storedStepOf(op: Operation, step: StepRecord, before: StoredStep | undefined): StoredStep {
  const {
    name,
    status,
    result,
    error,
    attempts,
    durationMs,
    wakeInMs,
    wakeAtMs,
    isCompensable = false,
  } = step;
  return {
    name,
    kind: before?.kind ?? step.kind,
    status,
    result: status === 'done' ? (result ?? 'null') : undefined,
    error,
    seq: before?.seq ?? step.seq,
    after: before === undefined ? step.after : before.after,
    attempts,
    durationMs,
    wakeAt: (wakeInMs === undefined ? wakeAtMs : op.now + wakeInMs) ?? before?.wakeAt,
    isCompensable,
    updatedAtMs: op.nowMs,
  };
}

function takeSignal(op: Operation, runId: string, id: bigint, takenBy: string): void {
  const signals = op.get(SIGNALS, runId) ?? [];
  op.set(
    SIGNALS,
    runId,
    signals.map((signal) =>
      signal.id === id && signal.takenBy === undefined ? { ...signal, takenBy } : signal,
    ),
  );
}

function writeValues(op: Operation, { runId, values }: RunWrite): void {
  if (values.length === 0) return;
  const all = new Map(op.get(VALUES, runId));
  for (const { key, value, writes } of values) {
    if ((all.get(key)?.writes ?? -1) < writes) all.set(key, { value, writes });
  }
  op.set(VALUES, runId, all);
}

/** @returns whether it was done */
function goOn(op: Operation, active: ActiveRun, end: RunEnd): boolean {
  const { runId, ending } = active;
  switch (end.kind) {
    case 'completed':
      if (ending !== undefined) return false;
      setRun(op, runId, { status: 'completed', output: end.output, error: undefined });
      leave(op, active);
      return true;
    case 'ended': {
      const run = op.get(RUNS, runId);
      const wasCancelled = run?.status === 'cancelled';
      setRun(op, runId, {
        status: wasCancelled ? 'cancelled' : end.status,
        output: undefined,
        error: (wasCancelled ? run.error : undefined) ?? end.error,
      });
      leave(op, active);
      return true;
    }
    case 'failing':
      if (ending !== undefined) return false;
      op.set(ACTIVE, runId, { ...active, ending: 'failed' });
      setRun(op, runId, { error: end.error });
      return true;
    case 'stuck':
      if (ending !== undefined) return false;
      op.set(ACTIVE, runId, { ...active, state: 'stuck', worker: undefined, dueAt: op.now });
      setRun(op, runId, { status: 'stuck', error: end.error });
      leaveQueue(op, active);
      return true;
    case 'release':
      op.set(ACTIVE, runId, { ...active, ...ready(op) });
      return true;
    case 'park':
      return ending === undefined && park(op, active, end);
  }
}

function leave(op: Operation, active: ActiveRun): void {
  op.delete(ACTIVE, active.runId);
  leaveQueue(op, active);
  tellParent(op, active.runId);
}

function park(op: Operation, active: ActiveRun, end: RunEnd & { kind: 'park' }): boolean {
  const { runId } = active;
  const came = op
    .get(SIGNALS, runId)
    ?.some(({ name, takenBy }) => takenBy === undefined && end.signals.includes(name));
  const ended = end.children.some((id) => {
    const child = op.get(RUNS, id);
    return child !== undefined && isOver(child);
  });
  if (came === true || ended) return false;
  const { wakeInMs = Infinity, signals, children } = end;
  op.set(ACTIVE, runId, {
    ...active,
    state: 'parked',
    worker: undefined,
    signals: [...signals],
    children: [...children],
    dueAt: op.now + wakeInMs,
  });
  setRun(op, runId, { status: 'suspended' });
  leaveQueue(op, active);
  // Somebody has to know when to look for it.
  if (wakeInMs < Infinity) op.notices.ready = true;
  return true;
}

function isAnEnd(end: RunEnd | undefined): boolean {
  return end?.kind === 'completed' || end?.kind === 'ended' || end?.kind === 'stuck';
}
