import { createHash } from 'node:crypto';
import { InvalidArgumentError, parseDuration, type Duration } from '@nestbox/core';
import type {
  ChildOptions,
  MapOptions,
  TransactionOptions,
  WorkflowContext,
  WorkflowLogger,
} from '../workflow-context.js';
import type { InputOf, OutputOf, WorkflowClass } from '../workflow.decorator.js';
import type { StepContext, StepKind, StepOptions } from '../workflow.types.js';
import { place, type Lead, type Place } from './ambient.js';
import type { Call } from './call.js';
import { describeWorkflow } from './describe-workflow.js';
import type { Execution } from './execution.js';
import { mapBranches } from './map-branches.js';
import { scopedName } from './names.js';
import { runChild } from './operations/child.js';
import { sleepFor } from './operations/sleep.js';
import { runStep } from './operations/step.js';
import { runTransaction } from './operations/transaction.js';
import { awaitSignal } from './operations/wait-for-signal.js';
import { replayLogger } from './replay-logger.js';

/** The context of a run, or of one of its branches. */
export class RunContext implements WorkflowContext {
  readonly logger: WorkflowLogger;
  /** How often, by the call before. */
  private readonly drawn = new Map<string, number>();
  private readonly sets = new Map<string, number>();
  private readonly changes = new Map<string, boolean>();

  /** @param scope what the names in it begin with: empty, or ending with `/` */
  constructor(
    readonly execution: Execution,
    private readonly scope: string,
    private readonly root?: RunContext,
  ) {
    this.logger = root?.logger ?? replayLogger(execution);
  }

  get runId(): string {
    return this.execution.runId;
  }

  get workflow(): string {
    return this.execution.workflow;
  }

  get signal(): AbortSignal {
    return this.execution.controller.signal;
  }

  get isReplaying(): boolean {
    return this.execution.journal.left > 0;
  }

  step<R>(
    name: string,
    optionsOrFn: StepOptions | ((context: StepContext) => R | Promise<R>),
    fn?: (context: StepContext) => R | Promise<R>,
  ): Promise<R> {
    const [options, work] = typeof optionsOrFn === 'function' ? [{}, optionsOrFn] : [optionsOrFn, fn];
    return this.operation(name, 'step', (base, call) => runStep(this.execution, base, call, options, work));
  }

  transaction<R>(
    name: string,
    optionsOrFn: TransactionOptions | (() => R | Promise<R>),
    fn?: () => R | Promise<R>,
  ): Promise<R> {
    const [options, work] = typeof optionsOrFn === 'function' ? [{}, optionsOrFn] : [optionsOrFn, fn];
    return this.operation(name, 'transaction', (base, call) =>
      runTransaction(this.execution, base, call, options, work),
    );
  }

  map<T, R>(
    name: string,
    items: readonly T[],
    key: (item: T, index: number) => string | number,
    fn: (context: WorkflowContext, item: T, index: number) => R | Promise<R>,
    options: MapOptions = {},
  ): Promise<R[]> {
    return this.attempt(() =>
      this.inBranches(name, (scope, after) =>
        mapBranches(items, key, options, (item, index, itemKey) =>
          this.inScope(`${scopedName(`${scope}/`, itemKey, `key of items[${index}]`)}/`, after, (context) =>
            fn(context, item, index),
          ),
        ),
      ),
    );
  }

  branch<R>(name: string, fn: (context: WorkflowContext) => R | Promise<R>): Promise<R> {
    return this.attempt(() => this.inBranches(name, (scope, after) => this.inScope(`${scope}/`, after, fn)));
  }

  sleep(name: string, duration: Duration): Promise<void> {
    return this.attempt(() => {
      // Computed ones may come out as nothing to wait for.
      const ms = duration === 0 ? 0 : parseDuration(duration, 'duration');
      return this.operation(name, 'sleep', (base, call) =>
        sleepFor(this.execution, base, call, { wakeInMs: ms }),
      );
    });
  }

  sleepUntil(name: string, time: Date): Promise<void> {
    return this.attempt(() => {
      const wakeAtMs = time.getTime();
      if (Number.isNaN(wakeAtMs)) throw new InvalidArgumentError('time', 'is an invalid Date.');
      return this.operation(name, 'sleep', (base, call) =>
        sleepFor(this.execution, base, call, { wakeAtMs }),
      );
    });
  }

  waitForSignal<T = unknown>(name: string, { timeout }: { timeout?: Duration } = {}): Promise<T> {
    return this.attempt(() => {
      const ms = timeout === undefined ? undefined : parseDuration(timeout, 'options.timeout');
      return this.operation(name, 'signal', (base, call) =>
        awaitSignal<T>(this.execution, base, call, name, ms),
      );
    });
  }

  child<W extends WorkflowClass>(
    workflow: W,
    input: InputOf<W>,
    options: ChildOptions = {},
  ): Promise<OutputOf<W>> {
    return this.attempt(() => {
      const name = options.name ?? describeWorkflow(workflow).name;
      return this.operation(name, 'child', (base, call) =>
        runChild<OutputOf<W>>(this.execution, base, call, workflow, input, options),
      );
    });
  }

  patched(change: string): boolean {
    this.assertOutside('patched()');
    if (this.root !== undefined) return this.root.patched(change);
    const known = this.changes.get(change);
    if (known !== undefined) return known;
    const name = `patch:${scopedName('', change, 'change')}`;
    const { journal } = this.execution;
    const isNew = journal.aside(name) === undefined;
    const isPatched = !isNew || journal.left === 0;
    this.changes.set(change, isPatched);
    if (isPatched && isNew) {
      const seq = journal.seq();
      this.execution.record({
        name,
        kind: 'patch',
        status: 'done',
        result: 'true',
        seq,
        after: undefined,
        attempts: 1,
      });
    }
    return isPatched;
  }

  setValue(key: string, value: unknown): void {
    this.assertOutside('setValue()');
    if (this.root !== undefined) return this.root.setValue(key, value);
    scopedName('', key, 'key');
    const encoded = this.execution.encode(value, 'value', `The value "${key}"`);
    const writes = (this.sets.get(key) ?? 0) + 1;
    this.sets.set(key, writes);
    // An older one must not come back for the time of a replay.
    if (writes > (this.execution.run.values.get(key) ?? 0))
      this.execution.checkpoints.setValue(key, encoded, writes);
  }

  now(): Date {
    const { call } = this.open('now', 'now');
    const { record, name, kind, seq, after } = call;
    if (record !== undefined) return new Date(Number(record.result));
    const ms = this.execution.host.wallTime();
    this.execution.record({ name, kind, status: 'done', result: String(ms), seq, after, attempts: 1 });
    return new Date(ms);
  }

  random(): number {
    return this.draw().readUIntBE(0, 6) / 2 ** 48;
  }

  uuid(): string {
    const bytes = this.draw();
    bytes[6] = (bytes[6]! & 0x0f) | 0x80;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const hex = bytes.toString('hex', 0, 16);
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }

  private operation<R>(
    name: string,
    kind: StepKind,
    work: (base: string, call: Call) => Promise<R>,
  ): Promise<R> {
    return this.attempt(() => {
      const { base, call } = this.open(name, kind);
      return work(base, call);
    });
  }

  /** Notes the call, at once, so that the order of calls is that of the code. */
  private open(name: string, kind: StepKind): { base: string; call: Call } {
    const base = scopedName(this.scope, name, 'name');
    this.assertOutside(`"${name}"`);
    const call = this.execution.journal.open(base, kind, this.leading?.name);
    this.execution.assertAlone(base, call);
    this.leadOn(call);
    return { base, call };
  }

  /** What a step does is not done again in a replay. @throws InvalidArgumentError */
  private assertOutside(what: string): void {
    if (place.getStore()?.isInStep !== true) return;
    throw new InvalidArgumentError(
      'context',
      `${what} is called inside of a step, where nothing can be recorded. Call it before or after the step.`,
    );
  }

  /** What was called last on the way to here. */
  private get leading(): Lead | undefined {
    return this.ownPlace?.after;
  }

  private get ownPlace(): Place | undefined {
    const at = place.getStore();
    return at?.context instanceof RunContext && at.context.execution === this.execution ? at : undefined;
  }

  /** What follows in the same function, behind its await too, comes after this. */
  private leadOn(after: Lead): void {
    place.enterWith({ context: this.ownPlace?.context ?? this, after, isInStep: false });
  }

  private inBranches<R>(
    name: string,
    work: (scope: string, after: Lead | undefined) => Promise<R>,
  ): Promise<R> {
    this.assertOutside(`"${name}"`);
    const base = scopedName(this.scope, name, 'name');
    const { leading } = this;
    return this.execution.scopes.use(base, leading?.name, (scope) => {
      const result = work(scope, leading);
      this.leadOn({ name: `${scope}/` });
      return result;
    });
  }

  private inScope<R>(
    scope: string,
    after: Lead | undefined,
    fn: (context: WorkflowContext) => R | Promise<R>,
  ): Promise<R> {
    const context = new RunContext(this.execution, scope, this.root ?? this);
    return place.run({ context, after, isInStep: false }, async () => fn(context));
  }

  /** What is wrong with a call rejects its promise. */
  private attempt<R>(fn: () => Promise<R>): Promise<R> {
    try {
      return fn();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** By the call that leads to it, so that functions which run at the same time draw their own. */
  private draw(): Buffer {
    this.assertOutside('random() or uuid()');
    const after = this.leading?.name ?? '';
    const drawn = (this.drawn.get(after) ?? 0) + 1;
    this.drawn.set(after, drawn);
    return createHash('sha256').update(`${this.runId}\0${this.scope}\0${after}\0${drawn}`).digest();
  }
}
