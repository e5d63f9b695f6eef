import { RunConflictError } from '../workflow.errors.js';
import type { NewRun, StartOutcome } from '../workflow.backend.js';
import { ACTIVE, RUNS, STEPS, findStep, type ActiveRun, type StoredRun } from './memory.tables.js';
import type { Operation } from './operation.js';

/** @see WorkflowBackend.start */
export function startRun(op: Operation, run: NewRun, forkedFrom?: string): StartOutcome {
  const existing = op.get(RUNS, run.id);
  if (existing !== undefined) return { kind: 'exists', workflow: existing.workflow };
  const { id, workflow, version, input, queue, priority, partitionKey } = run;
  const { deadlineMs, maxRecoveries, parentId, traceparent, worker } = run;
  const waits = worker === undefined && run.delayMs > 0;
  const claim = worker === undefined ? 0n : op.sequences.nextClaim();
  const stored: StoredRun = {
    id,
    workflow,
    version,
    status: waits ? 'suspended' : 'running',
    input,
    output: undefined,
    error: undefined,
    queue,
    priority,
    partitionKey,
    deadlineMs,
    maxRecoveries,
    parentId,
    forkedFrom,
    traceparent,
    createdAtMs: op.nowMs,
    updatedAtMs: op.nowMs,
  };
  op.set(RUNS, id, stored);
  op.set(ACTIVE, id, {
    ...newActive(op, stored),
    state: worker !== undefined ? 'claimed' : waits ? 'parked' : 'ready',
    worker,
    claim,
    dueAt: op.now + run.delayMs,
  });
  // Also for one that waits: somebody has to know when to look for it.
  if (worker === undefined) op.notices.ready = true;
  return { kind: 'started', claim };
}

/** What makes a run ready that had ended, or was not there before. Its deadline begins anew. */
export function newActive(op: Operation, run: StoredRun): ActiveRun {
  const { id, workflow, queue, partitionKey, priority, maxRecoveries, deadlineMs } = run;
  return {
    runId: id,
    workflow,
    queue,
    partitionKey,
    state: 'ready',
    worker: undefined,
    claim: 0n,
    ending: undefined,
    signals: [],
    children: [],
    dueAt: op.now,
    turn: op.sequences.nextTurn(),
    deadlineAt: deadlineMs === undefined ? undefined : op.now + deadlineMs,
    priority,
    recoveries: 0,
    maxRecoveries,
  };
}

/** @see WorkflowBackend.fork @throws RunConflictError when the id of the new run is taken */
export function forkRun(op: Operation, runId: string, fromStep: string | undefined, run: NewRun): boolean {
  if (op.get(RUNS, runId) === undefined) return false;
  const steps = op.get(STEPS, runId);
  const from = fromStep === undefined ? undefined : findStep(steps, fromStep);
  if (fromStep !== undefined && from === undefined) return false;
  const outcome = startRun(op, run, runId);
  if (outcome.kind === 'exists') throw new RunConflictError(run.id, run.workflow, outcome.workflow);
  const kept = [...(steps ?? [])].filter(
    ([, { seq, status, kind }]) =>
      from !== undefined &&
      seq < from.seq &&
      kind !== 'compensation' &&
      (status === 'done' || status === 'error'),
  );
  if (kept.length > 0) op.set(STEPS, run.id, new Map(kept));
  return true;
}
