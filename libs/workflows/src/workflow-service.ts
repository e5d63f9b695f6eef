import { ClosedError, InvalidArgumentError, Lifecycle, assertName, parseDuration } from '@nestbox/core';
import { defineWorkflow, type WorkflowDefinition } from './engine/definition.js';
import type { ExecutionHooks } from './engine/execution-hooks.js';
import type { LocalEnd } from './engine/execution-host.js';
import { Worker, type WorkerState } from './engine/worker.js';
import { loadOpenTelemetry } from './observe/open-telemetry.js';
import { operation } from './operation.js';
import { Results } from './results.js';
import { infoOf, stepInfoOf } from './run-info.js';
import { RunStarter } from './run-starter.js';
import { RunOrders } from './run-orders.js';
import { Retention } from './retention.js';
import { Schedules } from './schedules/schedules.js';
import { checkSettings, type CheckedSettings, type WorkflowSettings } from './workflow-service.options.js';
import { WorkflowHandle, type ResultOptions } from './workflow-handle.js';
import type { WorkflowBackend } from './workflow.backend.js';
import type { Figures } from './workflow.queries.js';
import type { InputOf, OutputOf, WorkflowClass } from './workflow.decorator.js';
import { RunNotFoundError } from './workflow.errors.js';
import { checkFilter, decodeCursor, encodeCursor } from './run-filter.js';
import type { RunFilter, RunInfo, RunStatus, StartOptions, StepInfo } from './workflow.types.js';

/** What a service of workflows runs, and how. */
export interface WorkflowServiceOptions extends WorkflowSettings, ExecutionHooks {
  /** Instances of classes with `@Workflow` that this process runs. */
  workflows?: readonly object[];
  /** For tests: the clock that waits are counted by. Default: that of the process. */
  clock?: { now(): number; wallTime(): number };
}

/** A part of the runs that were asked for. */
export interface RunPage {
  readonly runs: RunInfo[];
  /** For the next page; undefined on the last one. */
  readonly cursor: string | undefined;
}

const PAGE = 50;
const MAX_PAGE = 1_000;

/** Starts runs, finds them and tells them what to do; and, once its worker is started, runs them. */
export class WorkflowService {
  readonly schedules: Schedules;
  private readonly settings: CheckedSettings;
  private readonly definitions = new Map<string, WorkflowDefinition>();
  private readonly results: Results;
  private readonly starter: RunStarter;
  private readonly orders: RunOrders;
  private readonly retention: Retention;
  private readonly lifecycle: Lifecycle;
  private worker: Worker | undefined;

  /** @throws InvalidArgumentError */
  constructor(
    readonly backend: WorkflowBackend,
    private readonly options: WorkflowServiceOptions = {},
  ) {
    this.settings = checkSettings(options);
    for (const instance of options.workflows ?? []) this.register(instance);
    this.results = new Results(backend, (id) => this.worker?.has(id) ?? false);
    const ready = (): Promise<void> => this.init();
    this.starter = new RunStarter(backend, this.settings.maxPayloadBytes, () => this.worker);
    this.orders = new RunOrders(backend, this.settings.maxPayloadBytes, ready);
    this.schedules = new Schedules(backend, ready, () => options.clock?.wallTime() ?? Date.now());
    this.retention = new Retention(backend, this.settings.retentionMs);
    this.lifecycle = new Lifecycle(
      'WorkflowService',
      () => this.open(),
      () => this.shut(),
    );
  }

  /**
   * Adds a workflow that this process runs; before its worker is started.
   *
   * @param instance of a class with `@Workflow`
   * @throws InvalidArgumentError
   */
  register(instance: object): void {
    const definition = defineWorkflow(instance);
    if (this.worker !== undefined) {
      throw new InvalidArgumentError(
        'workflows',
        `"${definition.name}" comes too late: the worker runs already.`,
      );
    }
    if (this.definitions.has(definition.name)) {
      throw new InvalidArgumentError(
        'workflows',
        `there are two of the name "${definition.name}"; rename one.`,
      );
    }
    this.definitions.set(definition.name, definition);
  }

  /** Connects, and creates or checks the schema. Other methods do so when it was not called. @throws ClosedError */
  async init(): Promise<void> {
    const opening = this.lifecycle.ready();
    if (opening !== undefined) await opening;
  }

  /** Begins to run workflows in this process. May be called twice. @throws ClosedError */
  async startWorker(): Promise<void> {
    await this.init();
    if (this.worker !== undefined) return;
    const { clock } = this.options;
    const limitedQueues = this.settings.limits.map(({ name }) => name);
    const worker = new Worker(
      this.backend,
      {
        childRun: (type, input, id, options, parentId) =>
          this.starter.prepareChild(type, input, id, options, parentId),
        startRun: (run) => this.starter.start(run),
        ended: (end) => this.ended(end),
        hooks: this.options,
        now: () => clock?.now() ?? performance.now(),
        wallTime: () => clock?.wallTime() ?? Date.now(),
      },
      { ...this.settings, limitedQueues },
      this.definitions.values(),
    );
    this.worker = worker;
    try {
      await worker.start();
    } catch (error) {
      // The next call tries again.
      this.worker = undefined;
      throw error;
    }
    this.schedules.start(async (run) => void (await this.starter.start(run)));
    this.retention.start();
  }

  /** Stops running workflows; see `drainTimeout`. May be called twice. */
  async stopWorker(): Promise<void> {
    this.schedules.stop();
    this.retention.stop();
    await this.worker?.stop();
  }

  /** Stops the worker, and closes what was opened. May be called twice. */
  close(): Promise<void> {
    return this.lifecycle.close();
  }

  /** How many runs this process has in memory. */
  get activeRuns(): number {
    return this.worker?.size ?? 0;
  }

  /** Whether this process is a worker that others count on. */
  get workerState(): WorkerState {
    return this.worker?.state ?? { worker: 'none', leaseAgeMs: undefined };
  }

  /** The name of this process among the workers, while it is one. */
  get workerId(): string | undefined {
    return this.worker?.id;
  }

  /** @internal For tests: the clock has jumped. */
  checkTime(): void {
    this.worker?.checkTime();
    this.schedules.checkTime();
  }

  /** @internal For tests: see {@link Worker.lingering}. */
  get lingering(): { runs: number; nextInMs: number } {
    return this.worker?.lingering ?? { runs: 0, nextInMs: Infinity };
  }

  /** @internal For tests: as if the process had died. */
  crash(): string | undefined {
    this.schedules.stop();
    this.retention.stop();
    return this.worker?.crash();
  }

  /**
   * Starts a run. It is there when this resolves, and does not get lost any more; inside a transaction, when that is
   * committed. The same `id` again gives the run that there is.
   *
   * @throws RunConflictError when the id belongs to a run of another workflow; InvalidArgumentError;
   *   PayloadTooLargeError; ClosedError
   */
  async start<W extends WorkflowClass>(
    workflow: W,
    input: InputOf<W>,
    options: StartOptions = {},
  ): Promise<WorkflowHandle<OutputOf<W>>> {
    const run = this.starter.prepare(workflow, input, options);
    const opening = this.lifecycle.ready();
    if (opening !== undefined) await opening;
    await this.starter.start(run);
    return new WorkflowHandle<OutputOf<W>>(this, run.id);
  }

  /** A run by its id, whether it exists or not. */
  get<Output = unknown>(id: string): WorkflowHandle<Output> {
    assertName(id, 'id');
    return new WorkflowHandle<Output>(this, id);
  }

  /** Runs, the newest first. @throws InvalidArgumentError */
  async list(filter: RunFilter & { cursor?: string; limit?: number } = {}): Promise<RunPage> {
    const { cursor, limit = PAGE, ...rest } = filter;
    const query = checkFilter(rest);
    if (!(Number.isSafeInteger(limit) && limit > 0 && limit <= MAX_PAGE)) {
      throw new InvalidArgumentError('limit', `${limit} must be a whole number from 1 to ${MAX_PAGE}.`);
    }
    const before = cursor === undefined ? undefined : decodeCursor(cursor);
    await this.init();
    const rows = await operation('list runs', () =>
      this.backend.list({ ...query, before, limit: limit + 1 }),
    );
    const page = rows.slice(0, limit);
    return { runs: page.map(infoOf), cursor: rows.length > limit ? encodeCursor(page.at(-1)!) : undefined };
  }

  /** How many runs there are, by workflow and status. */
  async counts(): Promise<Readonly<Record<string, Readonly<Partial<Record<RunStatus, number>>>>>> {
    await this.init();
    return operation('count runs', () => this.backend.counts());
  }

  /** How many runs are not over, and in which state. */
  async figures(): Promise<Figures> {
    await this.init();
    return operation('count active runs', () => this.backend.figures());
  }

  /**
   * Sends a signal to a run, which takes it now or whenever it waits for one of this name.
   *
   * @param options.dedupe of two signals with the same key, the run gets one
   * @throws RunNotFoundError; RunStateError when it is over; InvalidArgumentError; PayloadTooLargeError
   */
  signal(id: string, name: string, payload?: unknown, options: { dedupe?: string } = {}): Promise<void> {
    return this.orders.signal(id, name, payload, options.dedupe);
  }

  /** As {@link WorkflowHandle.cancel}. */
  cancel(id: string): Promise<boolean> {
    return this.orders.cancel(id);
  }

  /** Cancels all runs that match and are not over. @returns how many */
  cancelAll(filter: RunFilter): Promise<number> {
    return this.orders.cancelAll(checkFilter(filter));
  }

  /** As {@link WorkflowHandle.resume}. */
  resume(id: string): Promise<void> {
    return this.orders.resume(id);
  }

  /** Lets all stuck and dead runs that match go on. @returns how many */
  resumeAll(filter: RunFilter): Promise<number> {
    return this.orders.resumeAll(checkFilter(filter));
  }

  /** As {@link WorkflowHandle.retry}. */
  retry(id: string, options: { fromStep?: string } = {}): Promise<void> {
    return this.orders.retry(id, options.fromStep);
  }

  /** Runs all again that match and have failed, are dead, stuck or cancelled. @returns how many */
  retryAll(filter: RunFilter): Promise<number> {
    return this.orders.retryAll(checkFilter(filter));
  }

  /** As {@link WorkflowHandle.fork}. */
  async fork<Output = unknown>(
    id: string,
    options: { fromStep?: string; id?: string; input?: unknown; queue?: string; priority?: number } = {},
  ): Promise<WorkflowHandle<Output>> {
    return new WorkflowHandle<Output>(this, await this.orders.fork(id, options));
  }

  /**
   * Starts a workflow whenever a cron expression says so, with five fields or six (seconds first). There is one run for
   * each time, however many processes there are. The same name again replaces the schedule.
   *
   * @param options.timezone of the IANA database. Default: UTC
   * @throws InvalidArgumentError
   */
  async schedule<W extends WorkflowClass>(
    name: string,
    cron: string,
    workflow: W,
    input: InputOf<W>,
    options: { timezone?: string; queue?: string; priority?: number } = {},
  ): Promise<void> {
    const { timezone, ...start } = options;
    const run = this.starter.prepare(workflow, input, start);
    await this.schedules.save(name, cron, timezone ?? 'UTC', run);
  }

  /** Ends a schedule; its runs go on. @returns whether there was one */
  unschedule(name: string): Promise<boolean> {
    return this.schedules.remove(name);
  }

  /** @internal For handles. */
  async waitFor(id: string, { timeout, signal }: ResultOptions): Promise<unknown> {
    const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout, 'options.timeout');
    const opening = this.lifecycle.ready();
    if (opening !== undefined) await opening;
    return this.results.wait(id, timeoutMs, signal);
  }

  /** @internal For handles. */
  async info(id: string): Promise<RunInfo> {
    await this.init();
    const [row] = await operation(`read run "${id}"`, () => this.backend.get([id]));
    if (row === undefined) throw new RunNotFoundError(id);
    return infoOf(row);
  }

  /** @internal For handles. */
  async stepsOf(id: string): Promise<StepInfo[]> {
    await this.init();
    return (await operation(`read the steps of run "${id}"`, () => this.backend.steps(id))).map(stepInfoOf);
  }

  /** @internal For handles. */
  async valuesOf(id: string): Promise<Record<string, unknown>> {
    await this.init();
    return Object.fromEntries(
      await operation(`read the values of run "${id}"`, () => this.backend.values(id)),
    );
  }

  private async open(): Promise<void> {
    await loadOpenTelemetry();
    await this.backend.init();
    if (this.settings.limits.length > 0) await this.backend.saveQueues(this.settings.limits);
  }

  private async shut(): Promise<void> {
    await this.stopWorker();
    this.results.close(new ClosedError('WorkflowService'));
    await this.backend.close();
  }

  private ended(end: LocalEnd): void {
    this.results.ended(end);
  }
}
