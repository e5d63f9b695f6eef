import type { Duration } from '@nestbox/core';
import type { InputOf, OutputOf, WorkflowClass } from './workflow.decorator.js';
import type { RetryPolicy, StepContext, StepOptions } from './workflow.types.js';

/** How a child is called, and where it runs. */
export interface ChildOptions {
  /** What the step is called. Default: the name of the workflow. */
  name?: string;
  /** The id of its run. Default: that of this run and the name of the step. */
  id?: string;
  queue?: string;
  priority?: number;
  partitionKey?: string;
  deadline?: Duration;
}

/** How a step with a transaction is tried again and undone. */
export interface TransactionOptions extends RetryPolicy {
  /** As of a step. */
  compensate?: StepOptions['compensate'];
}

/** How the branches of a map are run. */
export interface MapOptions {
  /** How many branches run at once. Default: all. */
  concurrency?: number;
}

/** Says nothing while a run catches up with what was done before. */
export interface WorkflowLogger {
  debug(message: string, ...more: unknown[]): void;
  log(message: string, ...more: unknown[]): void;
  warn(message: string, ...more: unknown[]): void;
  error(message: string, ...more: unknown[]): void;
}

/**
 * What a workflow does goes through its context, which records it. When the run goes on after a crash or a wait, `run`
 * is called again, and what is recorded is given back without being done again.
 *
 * A name stands for one step. Used again later on, it gets a number (`charge`, `charge#2`); from branches that run at
 * the same time it is refused with an `AmbiguousStepError`, unless they are made by {@link map} or {@link branch}.
 *
 * Values that are recorded keep their types: what JSON holds, and undefined, Date, bigint, Map, Set, Buffer, URL, RegExp,
 * errors with their causes. All else is refused with an `InvalidArgumentError` that names the path.
 */
export interface WorkflowContext {
  readonly runId: string;
  /** The name of the workflow. */
  readonly workflow: string;
  /** Aborts when the run is cancelled, is past its deadline, or must be given up by this process. */
  readonly signal: AbortSignal;
  readonly logger: WorkflowLogger;
  /** Whether it catches up with what was done before. */
  readonly isReplaying: boolean;

  /**
   * Does something once: when its result is recorded, it never runs again. It may run twice when the process dies in
   * between; pass `idempotencyKey` on to whatever takes one.
   *
   * @throws what `fn` threw at last, as it was recorded: with name, message, code and cause, but not its class
   */
  step<R>(name: string, fn: (context: StepContext) => R | Promise<R>): Promise<R>;
  step<R>(name: string, options: StepOptions, fn: (context: StepContext) => R | Promise<R>): Promise<R>;

  /**
   * Does something in the database exactly once: `fn` runs in a transaction that every Nestbox service called inside
   * joins, and the result is recorded in the same one. Deadlocks and serialization failures are tried again.
   */
  transaction<R>(name: string, fn: () => R | Promise<R>): Promise<R>;
  transaction<R>(name: string, options: TransactionOptions, fn: () => R | Promise<R>): Promise<R>;

  /**
   * Does something for each item at the same time, each in a context of its own whose names do not meet those of the
   * others. Waits for all, then rejects with the first error.
   *
   * @param key unique to an item; what was done before is found by it
   * @throws InvalidArgumentError when two items have the same key
   */
  map<T, R>(
    name: string,
    items: readonly T[],
    key: (item: T, index: number) => string | number,
    fn: (context: WorkflowContext, item: T, index: number) => R | Promise<R>,
    options?: MapOptions,
  ): Promise<R[]>;

  /** Does something in a context of its own, whose names do not meet those of other branches. */
  branch<R>(name: string, fn: (context: WorkflowContext) => R | Promise<R>): Promise<R>;

  /** Waits. The run is parked meanwhile: it holds nothing, and goes on wherever there is room. */
  sleep(name: string, duration: Duration): Promise<void>;
  sleepUntil(name: string, time: Date): Promise<void>;

  /**
   * Waits for a signal; one that came before is there at once. Signals of one name are taken in the order in which they
   * were sent, each by one wait.
   *
   * @throws SignalTimeoutError
   */
  waitForSignal<T = unknown>(name: string, options?: { timeout?: Duration }): Promise<T>;

  /**
   * Runs another workflow and waits for its result. It is cancelled together with this run.
   *
   * @throws what it failed with; RunCancelledError
   */
  child<W extends WorkflowClass>(
    workflow: W,
    input: InputOf<W>,
    options?: ChildOptions,
  ): Promise<OutputOf<W>>;

  /**
   * Whether the code behind a change may run: true for runs that come here for the first time, false for those that were
   * past this point before the change. Once no such run is left, the call may go.
   */
  patched(change: string): boolean;

  /** Shows a value to `handle.values()`. */
  setValue(key: string, value: unknown): void;

  /** The time when it was first called. */
  now(): Date;
  /** At least 0 and less than 1; the same in a replay. */
  random(): number;
  /** A UUID (version 8); the same in a replay. */
  uuid(): string;
}
