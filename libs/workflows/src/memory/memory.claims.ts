import type { ClaimRequest, ClaimedRun, Claims } from '../workflow.backend.js';
import { DeadlineExceededError, RunDeadError } from '../workflow.errors.js';
import { encodeError } from '../values/typed-value.js';
import { QueueGate } from './memory.queues.js';
import {
  ACTIVE,
  RUNS,
  STEPS,
  VALUES,
  decode,
  loadedStepsOf,
  type ActiveRun,
  type StoredRun,
} from './memory.tables.js';
import { cancelTrees, leaveQueue, ready, setRun, tellParent, wake } from './memory.transitions.js';
import type { Operation } from './operation.js';

/** When to look again after a run that a transaction has at the moment, in ms. */
const LOCKED_RETRY_MS = 10;

/** @see WorkflowBackend.claim */
export function claimRuns(op: Operation, request: ClaimRequest, isLive: (worker: string) => boolean): Claims {
  const { worker, limit } = request;
  for (const { runId } of free(op)) {
    takeBackIfLost(op, runId, (owner) => owner === worker || isLive(owner));
    endIfLate(op, runId);
    wakeIfDue(op, runId);
  }
  const gate = new QueueGate(op);
  const taken = limit > 0 ? take(op, request, gate) : [];
  // A look for work finds what it has made ready itself. Whatever else there is is for others.
  op.notices.ready &&= free(op).some(({ state }) => state === 'ready');
  return { runs: taken.map((active) => claimedRunOf(op, active)), nextInMs: nextIn(op, gate) };
}

/** The rows that no transaction has. */
function free(op: Operation): ActiveRun[] {
  return [...op.rows(ACTIVE)].filter(({ runId }) => !op.isLocked(ACTIVE, runId));
}

function takeBackIfLost(op: Operation, runId: string, isLive: (worker: string) => boolean): void {
  const active = op.get(ACTIVE, runId);
  if (active?.state !== 'claimed' || isLive(active.worker ?? '')) return;
  const recoveries = active.recoveries + 1;
  if (recoveries <= active.maxRecoveries) {
    op.set(ACTIVE, runId, { ...active, ...ready(op), recoveries });
    return;
  }
  op.set(ACTIVE, runId, { ...active, state: 'dead', worker: undefined, recoveries });
  setRun(op, runId, { status: 'dead', error: encodeError(new RunDeadError(runId)) });
  op.notices.ended = true;
  leaveQueue(op, active);
  tellParent(op, runId);
}

function endIfLate(op: Operation, runId: string): void {
  const active = op.get(ACTIVE, runId);
  if (active?.deadlineAt === undefined || active.ending !== undefined || active.deadlineAt > op.now) return;
  cancelTrees(op, [runId], 'deadline', encodeError(new DeadlineExceededError(runId)));
}

function wakeIfDue(op: Operation, runId: string): void {
  const active = op.get(ACTIVE, runId);
  if (active?.state === 'parked' && active.dueAt <= op.now) wake(op, active);
}

function take(
  op: Operation,
  { worker, limit, workflows, queues }: ClaimRequest,
  gate: QueueGate,
): ActiveRun[] {
  const known = new Set(workflows);
  const served = queues === undefined ? undefined : new Set(queues);
  const candidates = free(op)
    .filter(
      ({ state, workflow, queue }) =>
        state === 'ready' && known.has(workflow) && (served === undefined || served.has(queue)),
    )
    .sort((a, b) => a.priority - b.priority || a.dueAt - b.dueAt || a.turn - b.turn);
  const taken: ActiveRun[] = [];
  for (const candidate of candidates) {
    if (taken.length >= limit) break;
    if (!gate.admit(candidate)) continue;
    const claim = op.sequences.nextClaim();
    const active: ActiveRun = { ...candidate, state: 'claimed', worker, claim, signals: [], children: [] };
    op.set(ACTIVE, active.runId, active);
    taken.push(active);
  }
  gate.save();
  return taken;
}

function claimedRunOf(op: Operation, active: ActiveRun): ClaimedRun {
  const run = op.get(RUNS, active.runId) as StoredRun;
  const { id, workflow, queue, priority, parentId, traceparent, createdAtMs } = run;
  const { claim, ending, recoveries, deadlineAt } = active;
  const values = [...(op.get(VALUES, id) ?? [])].map(([key, { writes }]): [string, number] => [key, writes]);
  return {
    id,
    workflow,
    claim,
    input: decode(run.input),
    ending,
    error: decode(run.error),
    recoveries,
    queue,
    priority,
    parentId,
    traceparent,
    deadlineInMs: deadlineAt === undefined ? undefined : deadlineAt - op.now,
    createdAtMs,
    steps: loadedStepsOf(op.get(STEPS, id), op.now),
    values: new Map(values),
  };
}

function nextIn(op: Operation, gate: QueueGate): number | undefined {
  let next = gate.nextAt - op.now;
  for (const { runId, state, dueAt, deadlineAt, ending } of op.rows(ACTIVE)) {
    let ms = state === 'parked' ? dueAt - op.now : Infinity;
    if (deadlineAt !== undefined && ending === undefined) ms = Math.min(ms, deadlineAt - op.now);
    if (op.isLocked(ACTIVE, runId)) ms = Math.max(ms, LOCKED_RETRY_MS);
    next = Math.min(next, ms);
  }
  return next === Infinity ? undefined : Math.max(0, next);
}
