import type { Encoded, Ending } from '../workflow.backend.js';
import type { RunStatus } from '../workflow.types.js';
import { ACTIVE, QUEUES, RUNS, STEPS, isOver, type ActiveRun } from './memory.tables.js';
import type { Operation } from './operation.js';

// How runs go from one state to another. Whoever changes a run writes its active row, so that nobody else does at the
// same time.

/** Replaces what is not the same any more of a run. */
export function setRun(
  op: Operation,
  runId: string,
  change: { status?: RunStatus; output?: Encoded | undefined; error?: Encoded | undefined },
): void {
  const run = op.get(RUNS, runId);
  if (run !== undefined) op.set(RUNS, runId, { ...run, ...change, updatedAtMs: op.nowMs });
}

/** What makes a run wait for whoever takes it. */
export function ready(op: Operation): Pick<ActiveRun, 'state' | 'worker' | 'dueAt' | 'turn'> {
  op.notices.ready = true;
  return { state: 'ready', worker: undefined, dueAt: op.now, turn: op.sequences.nextTurn() };
}

/** A parked run goes on. */
export function wake(op: Operation, active: ActiveRun): void {
  // Its turn is by the time at which it wanted to wake, when that has passed.
  const dueAt = Math.min(active.dueAt, op.now);
  op.set(ACTIVE, active.runId, { ...active, ...ready(op), dueAt });
  setRun(op, active.runId, { status: 'running' });
}

/** Tells the parent of a run that it is over. */
export function tellParent(op: Operation, runId: string): void {
  const run = op.get(RUNS, runId);
  const parent = run?.parentId === undefined ? undefined : op.get(ACTIVE, run.parentId);
  if (run === undefined || parent === undefined || !isOver(run)) return;
  if (parent.state === 'parked' && parent.children.includes(runId)) wake(op, parent);
  // It may be about to park: that has to come before this, or after it.
  else op.set(ACTIVE, parent.runId, parent);
  if (parent.worker !== undefined) op.notices.workers.add(parent.worker);
}

/** A run holds none of what its queue has to give any more. */
export function leaveQueue(op: Operation, { queue }: ActiveRun): void {
  if (op.get(QUEUES, queue) !== undefined) op.notices.ready = true;
}

/**
 * Cancels runs and all their descendants. Where something has to be undone or stopped, it is left to a worker.
 *
 * @returns which were cancelled, and the workers that have some of them
 */
export function cancelTrees(
  op: Operation,
  runIds: readonly string[],
  ending: Ending,
  error: Encoded,
): { cancelled: string[]; workers: string[] } {
  const cancelled: string[] = [];
  const workers = new Set<string>();
  const seen = new Set<string>();
  const children = childrenOf(op);
  // Of those that were cancelled before, the worker may have started another child before it knew.
  const next = runIds.filter((id) => isCancellable(op, id) || op.get(RUNS, id)?.status === 'cancelled');
  for (let id = next.shift(); id !== undefined; id = next.shift()) {
    if (seen.has(id)) continue;
    seen.add(id);
    // A child that has ended may have started some that have not.
    next.push(...(children.get(id) ?? []));
    if (!isCancellable(op, id)) continue;
    cancelled.push(id);
    const worker = cancelOne(op, id, ending, error);
    if (worker !== undefined) workers.add(worker);
  }
  for (const worker of workers) op.notices.workers.add(worker);
  if (cancelled.length > 0) op.notices.ended = true;
  return { cancelled, workers: [...workers] };
}

function childrenOf(op: Operation): Map<string, string[]> {
  const children = new Map<string, string[]>();
  for (const { id, parentId } of op.rows(RUNS)) {
    if (parentId === undefined) continue;
    const siblings = children.get(parentId);
    if (siblings === undefined) children.set(parentId, [id]);
    else siblings.push(id);
  }
  return children;
}

function isCancellable(op: Operation, runId: string): boolean {
  const status = op.get(RUNS, runId)?.status;
  return status === 'running' || status === 'suspended' || status === 'stuck' || status === 'dead';
}

function cancelOne(op: Operation, runId: string, ending: Ending, error: Encoded): string | undefined {
  setRun(op, runId, { status: 'cancelled', error });
  const active = op.get(ACTIVE, runId);
  if (active !== undefined) {
    // One that has failed is being wound up already.
    const wound = { ...active, ending: active.ending ?? ending, recoveries: 0 };
    if (active.state === 'claimed') op.set(ACTIVE, runId, wound);
    else if (hasSomethingToUndo(op, runId)) op.set(ACTIVE, runId, { ...wound, ...ready(op) });
    else op.delete(ACTIVE, runId);
  }
  tellParent(op, runId);
  return active?.worker;
}

function hasSomethingToUndo(op: Operation, runId: string): boolean {
  return [...(op.get(STEPS, runId)?.values() ?? [])].some(
    ({ isCompensable, status }) => isCompensable && status === 'done',
  );
}
