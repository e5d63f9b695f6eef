import { randomUUID } from 'node:crypto';
import { runInRootScope } from '@nestbox/core';
import {
  isConnectionLost,
  isDataError,
  postgresOf,
  type Migrations,
  type Postgres,
  type PostgresSource,
  isTransactionConflict,
} from '@nestbox/postgres';
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
import { QueuesTable } from './queues-table.js';
import { RunClaimer } from './run-claimer.js';
import { RunLanes } from './run-lanes.js';
import { RunOrders } from './run-orders.js';
import { RunReader } from './run-reader.js';
import { RunWriter } from './run-writer.js';
import { SchedulesTable } from './schedules-table.js';
import { DEFAULT_SCHEMA, workflowMigrations } from './workflow-schema.js';

/** Options of workflows on PostgreSQL. */
export interface PgWorkflowBackendOptions {
  /** Default: `workflows`. */
  schema?: string | undefined;
  /** Creates and upgrades the schema at start; false only checks it. Default: true. */
  migrate?: boolean | undefined;
}

/** Runs in PostgreSQL, in the tables `workflow_runs` and `workflow_steps`. */
export class PgWorkflowBackend implements WorkflowBackend {
  readonly kind = 'postgres';
  readonly postgres: Postgres;
  readonly schema: string;
  readonly migrations: Migrations;
  private readonly owned: boolean;
  private readonly migrate: boolean;
  private readonly topic: string;
  private readonly writer: RunWriter;
  private readonly claimer: RunClaimer;
  private readonly reader: RunReader;
  private readonly orders: RunOrders;
  private readonly cron: SchedulesTable;
  private readonly queues: QueuesTable;
  private readonly lanes: RunLanes;

  /** @throws InvalidArgumentError */
  constructor(
    source: PostgresSource,
    { schema = DEFAULT_SCHEMA, migrate = true }: PgWorkflowBackendOptions = {},
  ) {
    const { postgres, owned } = postgresOf(source, 'source');
    this.postgres = postgres;
    this.owned = owned;
    this.migrate = migrate;
    this.schema = schema;
    this.migrations = workflowMigrations(postgres, { schema });
    this.topic = `workflows:${schema}:`;
    this.writer = new RunWriter(postgres, schema);
    this.claimer = new RunClaimer(postgres, schema);
    this.reader = new RunReader(postgres, schema);
    this.orders = new RunOrders(postgres, schema, this.writer);
    this.cron = new SchedulesTable(postgres, schema);
    this.queues = new QueuesTable(postgres, schema);
    this.lanes = new RunLanes(
      (runs) => this.startNow(runs),
      (writes) => this.writer.write(writes),
    );
  }

  async init(): Promise<void> {
    await this.postgres.init();
    if (this.migrate) await this.migrations.run();
    else await this.migrations.check();
  }

  /** Sends what is still to be sent. */
  async close(): Promise<void> {
    await this.lanes.close();
    if (this.owned) await this.postgres.close();
  }

  ping(timeoutMs: number): Promise<number> {
    return this.postgres.ping(timeoutMs);
  }

  get isInTransaction(): boolean {
    return this.postgres.currentTransaction !== undefined;
  }

  afterCommit(fn: () => void): void {
    const transaction = this.postgres.currentTransaction;
    if (transaction === undefined) fn();
    else transaction.afterCommit(fn);
  }

  transaction<T>(fn: () => Promise<T>): Promise<T> {
    return this.postgres.transaction(fn);
  }

  /** So that checkpoints and claims always find a connection. */
  get transactionLimit(): number {
    return Math.max(1, (this.postgres.poolFigures?.max ?? 0) - 2);
  }

  isTransient(error: unknown): boolean {
    return isTransactionConflict(error);
  }

  isUnavailable(error: unknown): boolean {
    return isConnectionLost(error) || hasCode(error, UNAVAILABLE) || isOutOfResources(error);
  }

  isDataError(error: unknown): boolean {
    return isDataError(error);
  }

  async join(ttlMs: number): Promise<WorkerLease> {
    const lease = await this.postgres.leases.acquire(`${this.topic}worker:${randomUUID()}`, {
      ttl: ttlMs,
      autoRenew: true,
    });
    return {
      worker: lease.name,
      get held() {
        return lease.held;
      },
      get renewedMsAgo() {
        // It is renewed after a third of its time.
        return Math.max(0, performance.now() - (lease.renewAt - lease.ttlMs / 3));
      },
      get signal() {
        return lease.signal;
      },
      release: () => lease.release(),
    };
  }

  async start(run: NewRun): Promise<StartOutcome> {
    if (!this.isInTransaction) return this.lanes.start(run);
    const [outcome] = await this.startNow([run]);
    return outcome!;
  }

  write(write: RunWrite): Promise<WriteOutcome> {
    return this.lanes.write(write);
  }

  async writeNow(write: RunWrite): Promise<WriteOutcome> {
    const [outcome] = await this.writer.write([write]);
    return outcome!;
  }

  claim(request: ClaimRequest): Promise<Claims> {
    return runInRootScope(() => this.claimer.claim(request));
  }

  news(worker: string, runIds: readonly string[], children: readonly string[]): Promise<News> {
    return runInRootScope(() => this.reader.news(worker, runIds, children));
  }

  async signal(
    runId: string,
    name: string,
    payload: Encoded,
    dedupe: string | undefined,
  ): Promise<SignalOutcome> {
    const outcome = await this.orders.signal(runId, name, payload, dedupe);
    if (outcome.kind !== 'sent') return outcome;
    if (outcome.worker !== undefined) this.notifyWorker(outcome.worker);
    if (outcome.woke) this.notifyReady();
    return outcome;
  }

  async cancel(
    runIds: readonly string[],
    error: Encoded,
  ): Promise<{ cancelled: readonly string[]; workers: readonly string[] }> {
    const { cancelled, workers, parentWorkers } = await this.orders.cancel(runIds, error);
    for (const worker of new Set([...workers, ...parentWorkers])) this.notifyWorker(worker);
    if (cancelled.length > 0) {
      // Some may have to be wound up, and parents may have been woken.
      this.notifyReady();
      this.notifyEnded();
    }
    return { cancelled, workers };
  }

  async resume(runIds: readonly string[]): Promise<readonly string[]> {
    const resumed = await this.orders.resume(runIds);
    if (resumed.length > 0) this.notifyReady();
    return resumed;
  }

  async retry(runIds: readonly string[], fromStep: string | undefined): Promise<readonly string[]> {
    const retried = await this.orders.retry(runIds, fromStep);
    if (retried.length > 0) this.notifyReady();
    return retried;
  }

  async fork(runId: string, fromStep: string | undefined, run: NewRun): Promise<boolean> {
    const forked = await this.orders.fork(runId, fromStep, run);
    if (forked) this.notifyReady();
    return forked;
  }

  get(ids: readonly string[]): Promise<readonly RunRow[]> {
    return this.reader.get(ids);
  }

  list(query: RunQuery): Promise<readonly RunRow[]> {
    return this.reader.list(query);
  }

  steps(runId: string): Promise<readonly LoadedStep[]> {
    return this.reader.steps(runId);
  }

  values(runId: string): Promise<ReadonlyMap<string, unknown>> {
    return this.reader.values(runId);
  }

  counts(): Promise<Readonly<Record<string, Readonly<Partial<Record<RunStatus, number>>>>>> {
    return this.reader.counts();
  }

  figures(): Promise<Figures> {
    return this.reader.figures();
  }

  deleteEnded(olderThanMs: number, limit: number): Promise<number> {
    return this.orders.deleteEnded(olderThanMs, limit);
  }

  async saveQueues(queues: readonly QueueRow[]): Promise<void> {
    await this.queues.save(queues);
    // There may be more room than before.
    this.notifyReady();
  }

  async saveSchedule(schedule: Omit<ScheduleRow, 'lastRunId'>): Promise<void> {
    await this.cron.save(schedule);
    // Somebody has to know when to look for it.
    this.notifyReady();
  }

  removeSchedule(name: string): Promise<boolean> {
    return this.cron.remove(name);
  }

  async pauseSchedule(name: string, isPaused: boolean, nextAtMs: number | undefined): Promise<boolean> {
    const isThere = await this.cron.pause(name, isPaused, nextAtMs);
    if (isThere) this.notifyReady();
    return isThere;
  }

  schedules(): Promise<readonly ScheduleRow[]> {
    return this.cron.list();
  }

  runDue(
    start: (schedule: ScheduleRow, nowMs: number) => Promise<{ nextAtMs: number; runId: string }>,
  ): Promise<number | undefined> {
    return this.cron.runDue(start);
  }

  notifyReady(): void {
    this.postgres.wakeup.notify(`${this.topic}ready`);
  }

  notifyWorker(worker: string): void {
    this.postgres.wakeup.notify(`${this.topic}worker:${worker}`);
  }

  notifyEnded(): void {
    this.postgres.wakeup.notify(`${this.topic}ended`);
  }

  on(
    topic: { readonly kind: 'ready' | 'ended' } | { readonly kind: 'worker'; readonly worker: string },
    handler: () => void | Promise<void>,
    pollMs: number,
  ): Disposable & { wakeIn(ms: number): void; wake(): void } {
    const name = topic.kind === 'worker' ? `worker:${topic.worker}` : topic.kind;
    return this.postgres.wakeup.on(`${this.topic}${name}`, handler, { pollMs });
  }

  private async startNow(runs: readonly NewRun[]): Promise<StartOutcome[]> {
    const outcomes = await this.writer.start(runs);
    // Also for one that begins later: somebody has to know when to look for it.
    const isForOthers = runs.some(({ worker }, i) => worker === undefined && outcomes[i]!.kind === 'started');
    if (isForOthers) this.notifyReady();
    return outcomes;
  }
}

/** Of errors that lie in the connection. By name: an application may have two copies of the package. */
const UNAVAILABLE = ['POSTGRES_UNAVAILABLE', 'COMMIT_OUTCOME_UNKNOWN'];

function hasCode(error: unknown, codes: readonly string[]): boolean {
  const code: unknown = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && codes.includes(code);
}

/** SQLSTATE class 53, such as too many connections. */
function isOutOfResources(error: unknown): boolean {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && /^53\d{3}$/.test(code);
}
