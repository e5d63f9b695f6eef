import type { Figures, RunQuery } from './workflow.queries.js';
import type { RunStatus, StepKind, StepStatus } from './workflow.types.js';

/** A value as `encodeValue` writes it: JSON text. */
export type Encoded = string;

/** A run that is to be started, as backends take it. */
export interface NewRun {
  readonly id: string;
  readonly workflow: string;
  readonly version: string | undefined;
  readonly input: Encoded;
  readonly queue: string;
  readonly priority: number;
  readonly partitionKey: string | undefined;
  /** 0 to begin at once. */
  readonly delayMs: number;
  readonly deadlineMs: number | undefined;
  readonly maxRecoveries: number;
  readonly parentId: string | undefined;
  readonly traceparent: string | undefined;
  /** The worker in whose process it begins at once; it is stored as claimed by it. */
  readonly worker: string | undefined;
}

/** One that is ready to be started, by whichever worker. */
export type PreparedRun = Omit<NewRun, 'worker'>;

/** Whether a run was started, or there was one already. */
export type StartOutcome =
  /** With the claim of the worker that was named. */
  | { readonly kind: 'started'; readonly claim: bigint }
  /** There was one with this id, of this workflow. */
  | { readonly kind: 'exists'; readonly workflow: string };

/** A step as it is written. */
export interface StepRecord {
  /** Unique in its run. */
  readonly name: string;
  readonly kind: StepKind;
  /** `pending` for one that waits or has failed and is tried again later. */
  readonly status: Exclude<StepStatus, 'scheduled'>;
  readonly result?: Encoded | undefined;
  readonly error?: Encoded | undefined;
  readonly seq: number;
  readonly after: string | undefined;
  readonly attempts: number;
  readonly durationMs?: number | undefined;
  /** From when on it need not wait any more, in ms from now by the clock of the database. */
  readonly wakeInMs?: number | undefined;
  /** The same as a time, in ms since 1970. */
  readonly wakeAtMs?: number | undefined;
  readonly isCompensable?: boolean | undefined;
  /** The signal that it takes. */
  readonly signalId?: bigint | undefined;
}

/** A recorded step, as a replay finds it. */
export interface LoadedStep {
  readonly name: string;
  readonly kind: StepKind;
  readonly status: StepStatus;
  readonly result: unknown;
  readonly error: unknown;
  readonly seq: number;
  readonly after: string | undefined;
  readonly attempts: number;
  readonly durationMs: number | undefined;
  /** What is left of the wait, in ms by the clock of the database: 0 or less when it is over. */
  readonly remainingMs: number | undefined;
  readonly wakeAtMs: number | undefined;
  readonly updatedAtMs: number;
}

/** Why a run may only be wound up any more. */
export type Ending = 'cancelled' | 'deadline' | 'failed';

/** How a run ends. */
export type RunEnd =
  | { readonly kind: 'completed'; readonly output: Encoded }
  /** Also how a cancelled run or one past its deadline ends for good, when its compensations are done. */
  | { readonly kind: 'ended'; readonly status: 'failed' | 'cancelled'; readonly error: Encoded }
  /** From now on it is only wound up; it stays claimed. */
  | { readonly kind: 'failing'; readonly error: Encoded }
  | {
      readonly kind: 'park';
      /** In how many ms it has to wake. */
      readonly wakeInMs: number | undefined;
      readonly signals: readonly string[];
      readonly children: readonly string[];
    }
  /** Back to the ready ones, for whoever takes it. */
  | { readonly kind: 'release' }
  | { readonly kind: 'stuck'; readonly error: Encoded };

/** What a worker writes of one run, in one go. */
export interface RunWrite {
  readonly runId: string;
  readonly claim: bigint;
  readonly steps: readonly StepRecord[];
  readonly values: readonly { readonly key: string; readonly value: Encoded; readonly writes: number }[];
  /** Whether the count of recoveries begins anew. */
  readonly isProgress: boolean;
  /** Its parent, which may wait for its end. */
  readonly parentId: string | undefined;
  /** Whether another process may wait for its result. */
  readonly isAwaitedElsewhere: boolean;
  readonly end: RunEnd | undefined;
}

/** Whether a write of a worker counted. */
export interface WriteOutcome {
  /**
   * False when somebody else has the run by now, or it is over: nothing was written. Mind that a write whose answer was
   * lost may have been done, too.
   */
  readonly held: boolean;
  /**
   * Why it may only be wound up. A `completed`, `park` or `stuck` was then not done; steps and values were written.
   */
  readonly ending: Ending | undefined;
  /** Whether `end` was done. A `park` is not when a signal or the end of a child came in between. */
  readonly done: boolean;
}

/** A run that a worker has taken, with what is recorded of it. */
export interface ClaimedRun {
  readonly id: string;
  readonly workflow: string;
  readonly claim: bigint;
  readonly input: unknown;
  readonly ending: Ending | undefined;
  /** What `failing` was written with, or that of a cancelled run. */
  readonly error: unknown;
  readonly recoveries: number;
  readonly queue: string;
  readonly priority: number;
  readonly parentId: string | undefined;
  readonly traceparent: string | undefined;
  readonly deadlineInMs: number | undefined;
  readonly createdAtMs: number;
  /** In the order of `seq`. */
  readonly steps: readonly LoadedStep[];
  /** How often each value was written. */
  readonly values: ReadonlyMap<string, number>;
}

/** Which runs a worker can take, and how many. */
export interface ClaimRequest {
  readonly worker: string;
  readonly limit: number;
  /** Those that this worker knows. */
  readonly workflows: readonly string[];
  /** Those that it serves; undefined for all. */
  readonly queues: readonly string[] | undefined;
  /**
   * What the worker has, when the answer to a start or a claim was lost: all else that it was given goes back first. A
   * backend that loses no answers need not look at it.
   */
  readonly known?: readonly { readonly runId: string; readonly claim: bigint }[] | undefined;
}

/** What a worker has got, and when it is worth asking again. */
export interface Claims {
  readonly runs: readonly ClaimedRun[];
  /** In how many ms there may be something to claim: a parked run wakes, a worker's lease runs out, a rate allows more. */
  readonly nextInMs: number | undefined;
}

/** A signal as backends keep it. */
export interface SignalRow {
  readonly id: bigint;
  readonly runId: string;
  readonly name: string;
  readonly payload: unknown;
}

/** What has come for the runs that a worker has. */
export interface News {
  readonly endings: readonly { readonly runId: string; readonly ending: Ending; readonly claim: bigint }[];
  /** Of the runs asked for: those that nobody has taken yet, in the order in which they were sent. */
  readonly signals: readonly SignalRow[];
  /** Of the children asked for: those that are over. */
  readonly outcomes: readonly RunRow[];
}

/** A run as backends keep it. */
export interface RunRow {
  readonly id: string;
  readonly workflow: string;
  readonly version: string | undefined;
  readonly status: RunStatus;
  readonly input: unknown;
  /** undefined when there is none. */
  readonly output: unknown;
  readonly error: unknown;
  readonly queue: string;
  readonly priority: number;
  readonly parentId: string | undefined;
  readonly forkedFrom: string | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** What became of a signal. */
export type SignalOutcome =
  /** `worker` has the run at the moment, if it is running. */
  | { readonly kind: 'sent'; readonly worker: string | undefined; readonly woke: boolean }
  /** One with this `dedupe` key had come before. */
  | { readonly kind: 'repeated' }
  | { readonly kind: 'ended'; readonly status: RunStatus }
  | { readonly kind: 'absent' };

/** A schedule as backends keep it. */
export interface ScheduleRow {
  readonly name: string;
  readonly workflow: string;
  readonly cron: string;
  readonly timezone: string;
  readonly input: Encoded;
  readonly options: { readonly queue: string; readonly priority: number };
  readonly nextAtMs: number;
  readonly isPaused: boolean;
  readonly lastRunId: string | undefined;
}

/** A queue with its limits, as backends keep it. */
export interface QueueRow {
  readonly name: string;
  readonly concurrency: number | undefined;
  readonly partitionConcurrency: number | undefined;
  readonly rate: { readonly limit: number; readonly perMs: number } | undefined;
}

/** A worker's membership. Whoever has none live loses its runs to others. */
export interface WorkerLease {
  /** Unique to this membership. */
  readonly worker: string;
  /** By this process' own clock, ends before the others' view of it does. */
  readonly held: boolean;
  readonly renewedMsAgo?: number | undefined;
  /** Aborts when it is over without having been released. */
  readonly signal: AbortSignal;
  release(): Promise<unknown>;
}

/** Where runs are kept. Calls join the caller's transaction, but for those that say otherwise. */
export interface WorkflowBackend {
  readonly kind: string;
  /** Makes it ready for use; may be called twice. */
  init(): Promise<void>;
  /** Ends what is its own. */
  close(): Promise<void>;
  ping(timeoutMs: number): Promise<number>;

  /** Whether the caller is in a transaction, so that what it writes is not there yet for others. */
  readonly isInTransaction: boolean;
  /** Calls `fn` when the caller's transaction is committed, or at once without one; never when it is rolled back. */
  afterCommit(fn: () => void): void;
  /** Runs `fn` in a transaction of its own that other calls join. How many may be under way at once is `transactionLimit`. */
  transaction<T>(fn: () => Promise<T>): Promise<T>;
  readonly transactionLimit: number;
  /** Whether a transaction that failed with this error is worth running once more. */
  isTransient(error: unknown): boolean;
  /** Whether this error means that the backend could not be reached, or was lost while it was asked. */
  isUnavailable(error: unknown): boolean;
  /** Whether the data in a write caused this error, so that trying again would not help. */
  isDataError(error: unknown): boolean;

  /** Never inside the caller's transaction. */
  join(ttlMs: number): Promise<WorkerLease>;

  /** Gathers the calls of many callers in one statement, but for those in a transaction. */
  start(run: NewRun): Promise<StartOutcome>;
  /** Gathers, too. Never inside the caller's transaction. */
  write(write: RunWrite): Promise<WriteOutcome>;
  /** As `write`, at once, and inside the caller's transaction. */
  writeNow(write: RunWrite): Promise<WriteOutcome>;
  /**
   * Takes runs: those that are ready, or parked with their time come, or whose worker's lease is over (at the end of
   * their recoveries, they are dead). Never inside the caller's transaction.
   */
  claim(request: ClaimRequest): Promise<Claims>;
  news(worker: string, runIds: readonly string[], children: readonly string[]): Promise<News>;

  signal(runId: string, name: string, payload: Encoded, dedupe: string | undefined): Promise<SignalOutcome>;
  /**
   * Sets the status to `cancelled` and, where something may have to be undone or stopped, leaves the rest to a worker.
   * So for all its children, and theirs.
   *
   * @returns which were cancelled, and the workers that have some of them
   */
  cancel(
    runIds: readonly string[],
    error: Encoded,
  ): Promise<{ cancelled: readonly string[]; workers: readonly string[] }>;
  /** Lets stuck, dead and cancelled runs go on, and wakes parked ones. @returns those that it did */
  resume(runIds: readonly string[]): Promise<readonly string[]>;
  /**
   * Starts ended runs again, without the steps that failed or were undone, or from a step on.
   *
   * @returns those that it did; a run that is not over, or has no such step, is not among them
   */
  retry(runIds: readonly string[], fromStep: string | undefined): Promise<readonly string[]>;
  /** A new run with the steps before `fromStep` of another. @returns false when there is no such run or step */
  fork(runId: string, fromStep: string | undefined, run: NewRun): Promise<boolean>;

  get(ids: readonly string[]): Promise<readonly RunRow[]>;
  list(query: RunQuery): Promise<readonly RunRow[]>;
  steps(runId: string): Promise<readonly LoadedStep[]>;
  values(runId: string): Promise<ReadonlyMap<string, unknown>>;
  counts(): Promise<Readonly<Record<string, Readonly<Partial<Record<RunStatus, number>>>>>>;
  figures(): Promise<Figures>;
  /** Deletes runs that are completed, failed or cancelled and were not touched for so long. @returns how many */
  deleteEnded(olderThanMs: number, limit: number): Promise<number>;

  saveQueues(queues: readonly QueueRow[]): Promise<void>;
  saveSchedule(schedule: Omit<ScheduleRow, 'lastRunId'>): Promise<void>;
  removeSchedule(name: string): Promise<boolean>;
  pauseSchedule(name: string, isPaused: boolean, nextAtMs: number | undefined): Promise<boolean>;
  schedules(): Promise<readonly ScheduleRow[]>;
  /**
   * For each schedule whose time has come, in a transaction: calls `start` with it, and moves it to the time that this
   * gives. One process at a time has a schedule. @returns in how many ms the next one is due
   */
  runDue(
    start: (schedule: ScheduleRow, nowMs: number) => Promise<{ nextAtMs: number; runId: string }>,
  ): Promise<number | undefined>;

  /** Tells workers that there are runs to claim; inside a transaction after its commit. */
  notifyReady(): void;
  /** Tells workers that there is news for the runs that one of them has. */
  notifyWorker(worker: string): void;
  /** Tells those who wait for results that runs have ended. */
  notifyEnded(): void;
  on(
    topic: { readonly kind: 'ready' | 'ended' } | { readonly kind: 'worker'; readonly worker: string },
    handler: () => void | Promise<void>,
    pollMs: number,
  ): Disposable & { wakeIn(ms: number): void; wake(): void };
}
