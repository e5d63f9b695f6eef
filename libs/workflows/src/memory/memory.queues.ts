import type { QueueRow } from '../workflow.backend.js';
import { ACTIVE, QUEUES, type ActiveRun, type StoredQueue } from './memory.tables.js';
import type { Operation } from './operation.js';

/** @see WorkflowBackend.saveQueues */
export function saveQueues(op: Operation, queues: readonly QueueRow[]): void {
  for (const queue of queues) {
    op.set(QUEUES, queue.name, { ...queue, starts: op.get(QUEUES, queue.name)?.starts ?? [] });
  }
  // There may be more room than before.
  op.notices.ready = true;
}

interface QueueState {
  readonly queue: StoredQueue;
  running: number;
  readonly perPartition: Map<string, number>;
  /** Those within the window of the rate. */
  readonly starts: number[];
  started: number;
}

/** What the limits of queues let through, within one claim. */
export class QueueGate {
  private readonly states = new Map<string, QueueState>();
  /** When a rate allows more than it did; Infinity when none has held anything back. */
  nextAt = Infinity;

  constructor(private readonly op: Operation) {
    for (const queue of op.rows(QUEUES)) {
      const { rate } = queue;
      const starts = rate === undefined ? [] : queue.starts.filter((at) => at > op.now - rate.perMs);
      this.states.set(queue.name, { queue, running: 0, perPartition: new Map(), starts, started: 0 });
    }
    if (this.states.size === 0) return;
    for (const active of op.rows(ACTIVE)) {
      const state = this.states.get(active.queue);
      if (active.state === 'claimed' && state !== undefined) count(state, active);
    }
  }

  /** Whether a run may begin now. If so, it counts from here on. */
  admit(run: ActiveRun): boolean {
    const state = this.states.get(run.queue);
    if (state === undefined) return true;
    const { concurrency = Infinity, partitionConcurrency = Infinity, rate } = state.queue;
    if (state.running >= concurrency) return false;
    const { partitionKey } = run;
    if (partitionKey !== undefined && (state.perPartition.get(partitionKey) ?? 0) >= partitionConcurrency) {
      return false;
    }
    if (rate !== undefined) {
      if (state.starts.length >= rate.limit) {
        const freed = state.starts[state.starts.length - rate.limit];
        if (freed !== undefined) this.nextAt = Math.min(this.nextAt, freed + rate.perMs);
        return false;
      }
      state.starts.push(this.op.now);
      state.started++;
    }
    count(state, run);
    return true;
  }

  /** Keeps the times of what it let through. */
  save(): void {
    for (const { queue, starts, started } of this.states.values()) {
      if (started > 0) this.op.set(QUEUES, queue.name, { ...queue, starts });
    }
  }
}

function count(state: QueueState, { partitionKey }: ActiveRun): void {
  state.running++;
  if (partitionKey === undefined) return;
  state.perPartition.set(partitionKey, (state.perPartition.get(partitionKey) ?? 0) + 1);
}
