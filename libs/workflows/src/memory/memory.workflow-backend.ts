import type {
  ClaimRequest,
  Claims,
  Encoded,
  LoadedStep,
  NewRun,
  News,
  QueueRow,
  RunRow,
  RunWrite,
  ScheduleRow,
  SignalOutcome,
  StartOutcome,
  WorkerLease,
  WorkflowBackend,
  WriteOutcome,
} from '../workflow.backend.js';
import type { Figures, RunQuery } from '../workflow.queries.js';
import type { RunStatus } from '../workflow.types.js';
import { systemClock, type WorkflowClock } from './clock.js';
import { claimRuns } from './memory.claims.js';
import { MemoryDatabase } from './memory.database.js';
import { resumeRuns, retryRuns, sendSignal } from './memory.orders.js';
import { countRuns, deleteEnded, figuresOf, getRuns, listRuns, newsOf, valuesOf } from './memory.queries.js';
import { saveQueues } from './memory.queues.js';
import {
  dueSchedule,
  dueSchedules,
  listSchedules,
  moveSchedule,
  nextScheduleIn,
  pauseSchedule,
  removeSchedule,
  saveSchedule,
} from './memory.schedules.js';
import { forkRun, startRun } from './memory.starts.js';
import { STEPS, loadedStepsOf } from './memory.tables.js';
import { cancelTrees } from './memory.transitions.js';
import { ENDED, MemoryWakeups, READY, topicOf } from './memory.wakeups.js';
import { MemoryWorkers } from './memory.workers.js';
import { writeRun } from './memory.writes.js';

export interface MemoryWorkflowBackendOptions {
  /** What decides when something is due. Default: the time of day. */
  clock?: WorkflowClock;
}

/**
 * Runs in this process, lost with it: for the tests of applications. Several engines may share one, and are to each
 * other what several processes are. Transactions run one at a time.
 *
 * Closing it keeps what it has, so that another engine on the same object finds it, as after a restart.
 */
export class MemoryWorkflowBackend implements WorkflowBackend {
  readonly kind = 'memory';
  readonly transactionLimit = Infinity;
  /** What decides when something is due. */
  readonly clock: WorkflowClock;
  private readonly wakeups: MemoryWakeups;
  private readonly database: MemoryDatabase;
  private readonly workers = new MemoryWorkers(() => this.wakeups.wake(READY));
  private users = 0;

  constructor({ clock = systemClock }: MemoryWorkflowBackendOptions = {}) {
    this.clock = clock;
    this.wakeups = new MemoryWakeups(clock);
    this.database = new MemoryDatabase(clock, (notices) => this.wakeups.tell(notices));
  }

  async init(): Promise<void> {
    this.users++;
  }

  /** Those who wait for something are no longer woken when everybody has closed it who called `init`. */
  async close(): Promise<void> {
    this.users = Math.max(0, this.users - 1);
    if (this.users === 0) this.wakeups.disposeAll();
  }

  async ping(): Promise<number> {
    return 0;
  }

  get isInTransaction(): boolean {
    return this.database.inTransaction;
  }

  afterCommit(fn: () => void): void {
    this.database.afterCommit(fn);
  }

  transaction<T>(fn: () => Promise<T>): Promise<T> {
    return this.database.transaction(fn);
  }

  isTransient(): boolean {
    return false;
  }

  isUnavailable(): boolean {
    return false;
  }

  isDataError(): boolean {
    return false;
  }

  /** The lease lasts until it is released, or {@link expire} ends it. */
  async join(): Promise<WorkerLease> {
    return this.workers.join();
  }

  /** Ends a worker's lease as if its process had died: others take its runs over. @returns whether it was held */
  expire(worker: string): boolean {
    return this.workers.expire(worker);
  }

  start(run: NewRun): Promise<StartOutcome> {
    return this.database.write((op) => startRun(op, run));
  }

  write(write: RunWrite): Promise<WriteOutcome> {
    return this.database.writeOutside((op) => writeRun(op, write));
  }

  writeNow(write: RunWrite): Promise<WriteOutcome> {
    return this.database.write((op) => writeRun(op, write));
  }

  claim(request: ClaimRequest): Promise<Claims> {
    return this.database.writeOutside((op) =>
      claimRuns(op, request, (worker) => this.workers.isLive(worker)),
    );
  }

  news(worker: string, runIds: readonly string[], children: readonly string[]): Promise<News> {
    return this.database.read((op) => newsOf(op, worker, runIds, children));
  }

  signal(runId: string, name: string, payload: Encoded, dedupe: string | undefined): Promise<SignalOutcome> {
    return this.database.write((op) => sendSignal(op, runId, name, payload, dedupe));
  }

  cancel(
    runIds: readonly string[],
    error: Encoded,
  ): Promise<{ cancelled: readonly string[]; workers: readonly string[] }> {
    return this.database.write((op) => cancelTrees(op, runIds, 'cancelled', error));
  }

  resume(runIds: readonly string[]): Promise<readonly string[]> {
    return this.database.write((op) => resumeRuns(op, runIds));
  }

  retry(runIds: readonly string[], fromStep: string | undefined): Promise<readonly string[]> {
    return this.database.write((op) => retryRuns(op, runIds, fromStep));
  }

  fork(runId: string, fromStep: string | undefined, run: NewRun): Promise<boolean> {
    return this.database.write((op) => forkRun(op, runId, fromStep, run));
  }

  get(ids: readonly string[]): Promise<readonly RunRow[]> {
    return this.database.read((op) => getRuns(op, ids));
  }

  list(query: RunQuery): Promise<readonly RunRow[]> {
    return this.database.read((op) => listRuns(op, query));
  }

  steps(runId: string): Promise<readonly LoadedStep[]> {
    return this.database.read((op) => loadedStepsOf(op.get(STEPS, runId), op.now));
  }

  values(runId: string): Promise<ReadonlyMap<string, unknown>> {
    return this.database.read((op) => valuesOf(op, runId));
  }

  counts(): Promise<Readonly<Record<string, Readonly<Partial<Record<RunStatus, number>>>>>> {
    return this.database.read(countRuns);
  }

  figures(): Promise<Figures> {
    return this.database.read(figuresOf);
  }

  deleteEnded(olderThanMs: number, limit: number): Promise<number> {
    return this.database.write((op) => deleteEnded(op, olderThanMs, limit));
  }

  saveQueues(queues: readonly QueueRow[]): Promise<void> {
    return this.database.write((op) => saveQueues(op, queues));
  }

  saveSchedule(schedule: Omit<ScheduleRow, 'lastRunId'>): Promise<void> {
    return this.database.write((op) => saveSchedule(op, schedule));
  }

  removeSchedule(name: string): Promise<boolean> {
    return this.database.write((op) => removeSchedule(op, name));
  }

  pauseSchedule(name: string, isPaused: boolean, nextAtMs: number | undefined): Promise<boolean> {
    return this.database.write((op) => pauseSchedule(op, name, isPaused, nextAtMs));
  }

  schedules(): Promise<readonly ScheduleRow[]> {
    return this.database.read(listSchedules);
  }

  async runDue(
    start: (schedule: ScheduleRow, nowMs: number) => Promise<{ nextAtMs: number; runId: string }>,
  ): Promise<number | undefined> {
    const failures: unknown[] = [];
    for (const { name } of await this.database.read(dueSchedules)) {
      try {
        await this.transaction(() => this.runOne(name, start));
      } catch (error) {
        // The others shall not wait for it.
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return this.database.read(nextScheduleIn);
  }

  notifyReady(): void {
    this.afterCommit(() => this.wakeups.wake(READY));
  }

  notifyWorker(worker: string): void {
    this.afterCommit(() => this.wakeups.wake(topicOf(worker)));
  }

  notifyEnded(): void {
    this.afterCommit(() => this.wakeups.wake(ENDED));
  }

  on(
    topic: { readonly kind: 'ready' | 'ended' } | { readonly kind: 'worker'; readonly worker: string },
    handler: () => void | Promise<void>,
    pollMs: number,
  ): Disposable & { wakeIn(ms: number): void; wake(): void } {
    return this.wakeups.on(topic.kind === 'worker' ? topicOf(topic.worker) : topic.kind, handler, pollMs);
  }

  private async runOne(
    name: string,
    start: (schedule: ScheduleRow, nowMs: number) => Promise<{ nextAtMs: number; runId: string }>,
  ): Promise<void> {
    // Another process may have been first.
    const schedule = await this.database.read((op) => dueSchedule(op, name));
    if (schedule === undefined) return;
    const { nextAtMs, runId } = await start(schedule, this.clock.now());
    await this.database.write((op) => moveSchedule(op, name, nextAtMs, runId));
  }
}
