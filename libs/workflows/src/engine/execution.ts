import { runInRootScope } from '@nestbox/core';
import { observeRun, type ExecutionEnd, type RunObservation } from '../observe/observer.js';
import { checkSize, encodeError, encodeValue } from '../values/typed-value.js';
import type {
  ClaimedRun,
  Encoded,
  Ending,
  LoadedStep,
  RunRow,
  SignalRow,
  StepRecord,
} from '../workflow.backend.js';
import {
  AmbiguousStepError,
  DeadlineExceededError,
  NonDeterminismError,
  RunCancelledError,
  RunReleasedError,
} from '../workflow.errors.js';
import type { Call } from './call.js';
import { Checkpoints } from './checkpoints.js';
import { Compensations } from './compensations.js';
import type { WorkflowDefinition } from './definition.js';
import type { ExecutionHost } from './execution-host.js';
import { Finale, type Winding } from './finale.js';
import { Journal } from './journal.js';
import { logger } from './logger.js';
import type { OutageLog } from './outage-log.js';
import { Parking } from './parking.js';
import { Scopes } from './scopes.js';
import { standStill } from './stand-still.js';
import { never, quiescence } from './turns.js';
import { Waits } from './waits.js';

/** setTimeout counts no further. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * One claimed run in this process: from the claim until the run is over, parked, released or lost. What its code does
 * goes through {@link operate}; once the execution is over, that never settles, and the code is forgotten.
 */
export class Execution {
  readonly runId: string;
  readonly claim: bigint;
  readonly parentId: string | undefined;
  readonly workflow: string;
  readonly controller = new AbortController();
  readonly journal: Journal;
  readonly checkpoints: Checkpoints;
  readonly compensations: Compensations;
  readonly waits: Waits;
  readonly scopes: Scopes;
  readonly observation: RunObservation;
  /** Signals that a step has, though it is not written yet. */
  readonly takenSignals = new Set<bigint>();
  private readonly parking: Parking;
  private readonly inFlight = new Map<string, number>();
  private active = 0;
  private whenQuiet: (() => void)[] = [];
  /** @internal */
  winding: Winding | undefined;
  private isReleasing = false;
  private isOver = false;
  private deadline: NodeJS.Timeout | undefined;

  constructor(
    readonly host: ExecutionHost,
    private readonly definition: WorkflowDefinition,
    readonly run: ClaimedRun,
    /** Whether another process may wait for its result. */
    readonly isAwaitedElsewhere: boolean,
  ) {
    this.runId = run.id;
    this.claim = run.claim;
    this.parentId = run.parentId;
    this.workflow = run.workflow;
    this.journal = new Journal(run.steps);
    this.checkpoints = new Checkpoints(host.backend, this, run.recoveries);
    this.compensations = new Compensations(this);
    this.waits = new Waits(() => host.now());
    this.scopes = new Scopes(run.id, run.steps);
    this.parking = new Parking(this);
    this.observation = observeRun({
      runId: run.id,
      workflow: run.workflow,
      traceparent: run.traceparent,
      isResumed: run.steps.length > 0 || run.recoveries > 0,
    });
  }

  /** Calls the workflow. */
  start(): void {
    const { ending, error, deadlineInMs } = this.run;
    if (deadlineInMs !== undefined) this.watchDeadline(deadlineInMs);
    if (ending !== undefined) this.windAs(ending, ending === 'failed' ? error : this.endingError(ending));
    const finale = new Finale(this);
    const body = runInRootScope(() => this.observation.body(() => this.definition.run(this, this.run.input)));
    body
      .then(
        (output) => finale.returned(output),
        (thrown: unknown) => finale.threw(thrown),
      )
      .catch((problem: unknown) => {
        logger.error(`Run "${this.runId}" of "${this.workflow}" came to a halt`, problem);
        this.lose();
      });
  }

  /** Whether this process may still write for it. */
  get holds(): boolean {
    return !this.isOver && this.host.isLive;
  }

  get outage(): OutageLog {
    return this.host.outage;
  }

  get isEnding(): boolean {
    return this.winding !== undefined;
  }

  get over(): boolean {
    return this.isOver;
  }

  get releasing(): boolean {
    return this.isReleasing;
  }

  get isIdle(): boolean {
    return this.active === 0;
  }

  /** Whether it is being wound up, and only waits for a time, with all that it did written. */
  get isLingering(): boolean {
    return this.isEnding && this.isIdle && this.waits.size > 0 && this.checkpoints.flushed() === undefined;
  }

  /** Refuses a call that could not be told from another one in a replay. @throws AmbiguousStepError */
  assertAlone(base: string, call: Call): void {
    if (call.record?.status === 'done' || !this.inFlight.has(base)) return;
    throw new AmbiguousStepError(this.runId, base);
  }

  /**
   * Does what a call is for, or gives back what was recorded of it. It waits until all that was done before is written,
   * so that nothing is built on what may be lost.
   */
  async operate<R>(
    base: string,
    call: Call,
    work: (record: LoadedStep | undefined) => Promise<R>,
  ): Promise<R> {
    const { record } = call;
    if (record !== undefined && record.kind !== call.kind) {
      return this.stick(`"${call.name}" was a ${record.kind} and is a ${call.kind} now.`);
    }
    if (record?.status === 'done') return record.result as R;
    if (record?.status === 'error') throw record.error;
    this.inFlight.set(base, (this.inFlight.get(base) ?? 0) + 1);
    this.active++;
    try {
      await this.mayAct(record);
      if (this.host.hooks.onUnrecorded !== undefined) await standStill(this, call);
      const result = await work(record);
      // What came about while the execution was given up is for nobody.
      return this.isOver ? await never<R>() : result;
    } catch (error) {
      if (this.isOver) return await never<R>();
      throw error;
    } finally {
      const left = this.inFlight.get(base)! - 1;
      if (left === 0) this.inFlight.delete(base);
      else this.inFlight.set(base, left);
      this.rest();
    }
  }

  /** Waits for something without keeping the run from being parked. */
  async aside<R>(wait: () => Promise<R>): Promise<R> {
    const waiting = wait();
    this.rest();
    try {
      return await waiting;
    } finally {
      this.active++;
    }
  }

  /** Keeps the run in memory while something is done that no call of the workflow's asked for. */
  async hold<R>(work: () => Promise<R>): Promise<R> {
    this.active++;
    try {
      return await work();
    } finally {
      this.rest();
    }
  }

  record(step: StepRecord): void {
    this.checkpoints.add(step);
    if (step.status !== 'pending') this.host.hooks.onRecorded?.(this.runId, step.name);
  }

  /** @throws InvalidArgumentError; PayloadTooLargeError */
  encode(value: unknown, path: string, what: string): Encoded {
    const encoded = encodeValue(value, path);
    checkSize(encoded, what, this.host.maxPayloadBytes);
    return encoded;
  }

  /** What has come for it. */
  deliver(signals: readonly SignalRow[], outcomes: readonly RunRow[]): void {
    // Who takes something now would be parked with it: it is no longer there to wake the run. A run that cannot be parked
    // asks for it again.
    if (this.isOver || this.parking.decided !== undefined) return;
    for (const signal of signals) if (!this.takenSignals.has(signal.id)) this.parking.deliver(signal);
    for (const outcome of outcomes) this.parking.childEnded(outcome);
  }

  /** It belongs to somebody else by now, or is over. */
  lose(): void {
    if (this.isOver) return;
    this.controller.abort(
      new RunReleasedError(this.runId, 'another worker has taken it over, or it is over.'),
    );
    this.leave('lost');
  }

  written(steps: readonly StepRecord[]): void {
    const { onWritten } = this.host.hooks;
    if (onWritten === undefined) return;
    for (const { name, status } of steps) if (status !== 'pending') onWritten(this.runId, name);
  }

  wind(ending: Ending): void {
    this.windAs(ending, this.endingError(ending));
  }

  /** What it recorded was refused because of its data. */
  spoil(error: unknown): void {
    logger.error(`What run "${this.runId}" of "${this.workflow}" recorded was refused`, error);
    this.windAs('failed', error);
  }

  /** Gives it back, as soon as no step is being done. */
  release(): void {
    this.isReleasing = true;
    this.parking.check();
  }

  /** Gives it back at once; steps that are being done are told to stop, and count as not done. */
  async releaseNow(): Promise<void> {
    if (this.isOver) return;
    this.isReleasing = true;
    this.controller.abort(new RunReleasedError(this.runId, 'this process is shutting down.'));
    await this.checkpoints.end({ kind: 'release' });
    this.leave('released');
  }

  /** The code does not fit the history: nothing more is done. */
  async stick(problem: string): Promise<never> {
    this.throwIfEnding();
    if (this.isOver || this.isReleasing) return never();
    const error = new NonDeterminismError(this.runId, problem);
    logger.error(error.message);
    const outcome = await this.checkpoints.end({ kind: 'stuck', error: encodeError(error) });
    if (outcome?.done === true) this.finish('stuck', undefined, error);
    else this.throwIfEnding();
    return never();
  }

  leave(how: ExecutionEnd, error?: unknown): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.deadline);
    this.waits.clear();
    this.observation.end(how, error);
    this.host.left(this.runId);
  }

  private throwIfEnding(): void {
    if (this.winding !== undefined) throw this.winding.error;
  }

  /** The database decides whether it is over; here it is only time to ask. */
  private watchDeadline(ms: number): void {
    if (ms > MAX_TIMEOUT_MS) return;
    this.deadline = setTimeout(() => this.host.deadlinePassed(), Math.max(0, ms) + 1).unref();
  }

  private rest(): void {
    this.active--;
    if (this.active > 0) return;
    if (this.waits.size > 0 || this.isReleasing) this.parking.check();
    for (const wake of this.whenQuiet.splice(0)) wake();
  }

  private async mayAct(record: LoadedStep | undefined): Promise<void> {
    if (record === undefined && this.journal.left > 0) await this.caughtUp();
    for (;;) {
      if (this.isOver) await never();
      this.throwIfEnding();
      if (this.isReleasing) await this.aside(() => never());
      const flushed = this.parking.decided ?? this.checkpoints.flushed();
      if (flushed === undefined) return;
      await flushed;
    }
  }

  /** Resolves when the code has asked for all that is recorded; else it is other code. */
  async caughtUp(): Promise<void> {
    await quiescence(
      () => this.journal.found,
      () => this.journal.left === 0 || this.winding !== undefined,
    );
    if (this.journal.left === 0 || this.winding !== undefined) return;
    const { name, after } = this.journal.firstLeft!;
    const where = after === undefined ? 'first' : `after "${after}"`;
    await this.stick(`"${name}" was done ${where}, and the code does not come to it any more.`);
  }

  private windAs(ending: Ending, error: unknown): void {
    if (this.isOver || this.winding !== undefined) return;
    this.winding = { ending, error };
    this.controller.abort(error);
    this.waits.rejectAll(error);
  }

  private endingError(ending: Ending): unknown {
    if (ending === 'failed') return this.run.error;
    return ending === 'deadline' ? new DeadlineExceededError(this.runId) : new RunCancelledError(this.runId);
  }

  finish(status: 'completed' | 'failed' | 'cancelled' | 'stuck', output: unknown, error: unknown): void {
    this.leave(status, error);
    this.host.ended({ runId: this.runId, workflow: this.workflow, status, output, error });
  }

  /** Resolves when nothing is being done any more. */
  async quiet(): Promise<void> {
    while (this.active > 0) await new Promise<void>((resolve) => this.whenQuiet.push(resolve));
  }
}
