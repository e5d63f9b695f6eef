import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, messageOf, runInRootScope } from '@nestbox/core';
import type { ChildOptions } from '../workflow-context.js';
import { decodeValue } from '../values/typed-value.js';
import type { ClaimedRun, PreparedRun, WorkerLease, WorkflowBackend } from '../workflow.backend.js';
import type { WorkflowClass } from '../workflow.decorator.js';
import type { WorkflowDefinition } from './definition.js';
import { Doubt } from './doubt.js';
import type { ExecutionHooks } from './execution-hooks.js';
import type { ExecutionHost, LocalEnd } from './execution-host.js';
import { Execution } from './execution.js';
import { logger } from './logger.js';
import { OutageLog } from './outage-log.js';
import { Semaphore } from './semaphore.js';
import type { WorkerOwner, WorkerSettings } from './worker-owner.js';

const SOON_MS = 5;
const FULL_MS = 200;
const RECOVERY = { baseMs: 100, maxMs: 5_000 };

export interface WorkerState {
  /** `live` while it has its lease, `lost` while it is without, so that others take its runs. */
  readonly worker: 'none' | 'live' | 'lost';
  /** How long ago the lease was renewed, in ms; undefined where it needs no renewal. */
  readonly leaseAgeMs: number | undefined;
}

type Subscription = ReturnType<WorkflowBackend['on']>;

/** Runs workflows in this process: those that are started here, and those that it claims. */
export class Worker implements ExecutionHost {
  readonly maxPayloadBytes: number;
  readonly transactions: Semaphore;
  readonly outage = new OutageLog();
  readonly hooks: ExecutionHooks;
  private readonly definitions = new Map<string, WorkflowDefinition>();
  private readonly executions = new Map<string, Execution>();
  /** Room that is kept for runs that are being started. */
  private reserved = 0;
  private readonly doubt = new Doubt();
  private lease: WorkerLease | undefined;
  private ready: Subscription | undefined;
  private news: Subscription | undefined;
  private alive: NodeJS.Timeout | undefined;
  private hasMore = false;
  private lookedAt = -Infinity;
  private isStopping = false;
  private whenEmpty: (() => void) | undefined;
  private stopped: Promise<void> | undefined;

  constructor(
    readonly backend: WorkflowBackend,
    private readonly owner: WorkerOwner,
    private readonly settings: WorkerSettings,
    definitions: Iterable<WorkflowDefinition>,
  ) {
    this.maxPayloadBytes = settings.maxPayloadBytes;
    this.transactions = new Semaphore(backend.transactionLimit);
    for (const definition of definitions) this.definitions.set(definition.name, definition);
    this.hooks = owner.hooks;
  }

  /** How many runs it has in memory. */
  get size(): number {
    return this.executions.size;
  }

  /** The runs that are being wound up, and so not parked, and do nothing but wait; and in how many ms one goes on. */
  get lingering(): { runs: number; nextInMs: number } {
    const all = [...this.executions.values()].filter((execution) => execution.isLingering);
    const due = all.map(({ waits }) => waits.dueInMs ?? Infinity);
    return { runs: all.length, nextInMs: Math.min(...due) };
  }

  /** The name of its membership, while it has one. */
  get id(): string | undefined {
    return this.lease?.worker;
  }

  get state(): WorkerState {
    if (this.isStopping) return { worker: 'none', leaseAgeMs: undefined };
    return this.isLive
      ? { worker: 'live', leaseAgeMs: this.lease?.renewedMsAgo }
      : { worker: 'lost', leaseAgeMs: undefined };
  }

  get isLive(): boolean {
    return this.lease?.held ?? false;
  }

  get isCrowded(): boolean {
    if (this.isStopping || this.hooks.parksAtOnce === true) return true;
    return this.executions.size + this.reserved >= this.settings.concurrency;
  }

  async start(): Promise<void> {
    await this.join();
    // A process that does nothing else must not end when all its connections are lost for a while.
    if (this.backend.kind !== 'memory') this.alive = setInterval(() => undefined, 2 ** 31 - 1);
    this.ready = this.backend.on({ kind: 'ready' }, () => this.look(), this.settings.pollMs);
    this.ready.wake();
  }

  /**
   * Keeps room for a run that is about to be started here.
   *
   * @returns the worker to start it as claimed by; undefined when it has to wait for a claim
   */
  tryReserve(workflow: string, queue: string): string | undefined {
    const { queues, limitedQueues } = this.settings;
    if (!this.isLive || this.isCrowded || this.doubt.isThere || !this.definitions.has(workflow))
      return undefined;
    if (limitedQueues.includes(queue) || (queues !== undefined && !queues.includes(queue))) return undefined;
    this.reserved++;
    return this.lease!.worker;
  }

  /** Gives room back that was kept, after the run was started or not, or nobody knows. */
  unreserve(isSure: boolean): void {
    this.reserved--;
    if (!isSure) this.doubt.raise();
    if (this.hasMore || this.doubt.isThere) this.ready?.wake();
  }

  /** @param isAwaitedElsewhere whether another process may wait for its result */
  begin(run: ClaimedRun, isAwaitedElsewhere: boolean): void {
    const definition = this.definitions.get(run.workflow);
    if (definition === undefined) return;
    const execution = new Execution(this, definition, run, isAwaitedElsewhere);
    // It has been claimed once more, though nobody here knows yet that it was given up.
    this.executions.get(run.id)?.lose();
    this.executions.set(run.id, execution);
    execution.start();
  }

  /** Begins one that was just started. */
  beginNew(
    { id, workflow, input, queue, priority, parentId, traceparent, deadlineMs }: PreparedRun,
    claim: bigint,
  ): void {
    this.begin(
      {
        id,
        workflow,
        claim,
        // As a later execution will see it, and nobody else's object.
        input: decodeValue(JSON.parse(input)),
        ending: undefined,
        error: undefined,
        recoveries: 0,
        queue,
        priority,
        parentId,
        traceparent,
        deadlineInMs: deadlineMs,
        createdAtMs: this.wallTime(),
        steps: [],
        values: new Map(),
      },
      false,
    );
  }

  has(runId: string): boolean {
    return this.executions.has(runId);
  }

  /**
   * Takes no more runs, gives those back that only wait, and waits `drainMs` for the steps that are being done; then
   * these are told to stop, and their runs are given back, too. May be called twice.
   */
  stop(): Promise<void> {
    this.stopped ??= this.stopOnce();
    return this.stopped;
  }

  /** Ends the waits whose time has come; for a clock that jumps. */
  checkTime(): void {
    for (const { waits } of this.executions.values()) waits.check();
    this.ready?.wake();
  }

  /** As if the process had died: nothing is given back, and nothing more is written. */
  crash(): string | undefined {
    this.isStopping = true;
    this.dispose();
    for (const execution of this.executions.values()) execution.lose();
    const worker = this.lease?.worker;
    this.lease = undefined;
    return worker;
  }

  now = (): number => this.owner.now();

  wallTime = (): number => this.owner.wallTime();

  childRun(
    workflow: WorkflowClass,
    input: unknown,
    id: string,
    options: ChildOptions,
    parentId: string,
  ): PreparedRun {
    return this.owner.childRun(workflow, input, id, options, parentId);
  }

  startChild(run: PreparedRun): Promise<boolean> {
    return this.owner.startRun(run);
  }

  lookForNews(): void {
    this.news?.wake();
  }

  deadlinePassed(): void {
    this.ready?.wake();
  }

  ended(end: LocalEnd): void {
    this.owner.ended(end);
  }

  left(runId: string): void {
    this.executions.delete(runId);
    if (this.hasMore) this.ready?.wake();
    if (this.executions.size === 0) this.whenEmpty?.();
  }

  private async join(): Promise<void> {
    const lease = await this.backend.join(this.settings.leaseMs);
    this.lease = lease;
    const topic = { kind: 'worker', worker: lease.worker } as const;
    this.news = this.backend.on(topic, () => this.fetchNews(), this.settings.pollMs);
    lease.signal.addEventListener('abort', () => {
      if (!this.isStopping) void runInRootScope(() => this.rejoin());
    });
  }

  /** Others have its runs by now. */
  private async rejoin(): Promise<void> {
    logger.warn('The lease of this worker is over, so others take its runs; it begins anew.');
    this.news?.[Symbol.dispose]();
    this.lease = undefined;
    for (const execution of this.executions.values()) execution.lose();
    for (let attempt = 1; !this.isStopping; attempt++) {
      try {
        await this.join();
        this.ready?.wake();
        return;
      } catch (error) {
        if (attempt === 1) logger.warn(`No new lease could be had; trying again: ${messageOf(error)}`);
        await sleep(backoffMs(attempt, RECOVERY), undefined, { ref: false });
      }
    }
  }

  private async look(): Promise<void> {
    const { lease } = this;
    if (this.isStopping || lease === undefined || !lease.held) return;
    const limit = Math.max(0, this.settings.concurrency - this.executions.size - this.reserved);
    // Without room there is only the others' work to look after, which has time.
    const sinceMs = performance.now() - this.lookedAt;
    if (limit === 0 && sinceMs < FULL_MS) return this.ready?.wakeIn(FULL_MS - sinceMs);
    this.lookedAt = performance.now();
    const isDoubtful = this.doubt.isThere && this.reserved === 0;
    const { runs, nextInMs } = await this.backend
      .claim({
        worker: lease.worker,
        limit,
        workflows: [...this.definitions.keys()],
        queues: this.settings.queues,
        known: isDoubtful ? this.doubt.ask(this.executions.values()) : undefined,
      })
      .catch((error: unknown) => {
        this.doubt.raise();
        throw error;
      });
    const doubtMs = isDoubtful ? this.doubt.settle() : undefined;
    if (doubtMs !== undefined) this.ready?.wakeIn(doubtMs);
    this.hasMore = runs.length >= limit;
    // Should it have been lost meanwhile, others take them.
    if (this.lease === lease && lease.held) for (const run of runs) this.begin(run, true);
    // What is due already, somebody else has under way.
    if (nextInMs !== undefined) this.ready?.wakeIn(Math.max(nextInMs, SOON_MS));
    if (this.executions.size > 0) this.lookForNews();
    // It has been asked to stop while it was claiming.
    if (this.isStopping) for (const execution of this.executions.values()) execution.release();
  }

  private async fetchNews(): Promise<void> {
    const { lease } = this;
    if (lease === undefined || this.executions.size === 0) return;
    const waiting: string[] = [];
    const children: string[] = [];
    for (const { runId, waits } of this.executions.values()) {
      if (waits.signals.length > 0) waiting.push(runId);
      children.push(...waits.children);
    }
    const { endings, signals, outcomes } = await this.backend.news(lease.worker, waiting, children);
    for (const { runId, ending, claim } of endings) {
      const execution = this.executions.get(runId);
      if (execution?.claim === claim) execution.wind(ending);
    }
    if (signals.length === 0 && outcomes.length === 0) return;
    for (const execution of this.executions.values()) {
      execution.deliver(
        signals.filter(({ runId }) => runId === execution.runId),
        outcomes,
      );
    }
  }

  private async stopOnce(): Promise<void> {
    this.isStopping = true;
    this.ready?.[Symbol.dispose]();
    for (const execution of this.executions.values()) execution.release();
    await this.emptyWithin(this.settings.drainMs);
    const left = [...this.executions.values()];
    if (left.length > 0) {
      logger.warn(
        `${left.length} runs were still at a step after ${this.settings.drainMs} ms, and go on elsewhere.`,
      );
      await Promise.all(left.map((execution) => execution.releaseNow()));
    }
    this.dispose();
    try {
      await this.lease?.release();
    } catch (error) {
      logger.warn(`The lease of this worker could not be released and will run out: ${messageOf(error)}`);
    }
    this.backend.notifyReady();
  }

  private dispose(): void {
    clearInterval(this.alive);
    this.ready?.[Symbol.dispose]();
    this.news?.[Symbol.dispose]();
  }

  private async emptyWithin(ms: number): Promise<void> {
    if (this.executions.size === 0) return;
    const timeout = new AbortController();
    const empty = new Promise<void>((resolve) => {
      this.whenEmpty = resolve;
    });
    const late = sleep(ms, undefined, { signal: timeout.signal }).catch(() => undefined);
    await Promise.race([empty, late]);
    timeout.abort();
  }
}
