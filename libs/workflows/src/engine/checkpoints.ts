import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '@nestbox/core';
import type {
  Encoded,
  Ending,
  RunEnd,
  RunWrite,
  StepRecord,
  WorkflowBackend,
  WriteOutcome,
} from '../workflow.backend.js';
import type { OutageLog } from './outage-log.js';

/** Between tries when the database cannot be reached. */
const RECOVERY = { baseMs: 50, maxMs: 2_000 };

export interface CheckpointOwner {
  readonly runId: string;
  readonly claim: bigint;
  readonly parentId: string | undefined;
  readonly isAwaitedElsewhere: boolean;
  readonly outage: OutageLog;
  /** Whether this process may still write. */
  readonly holds: boolean;
  /** The run belongs to somebody else, or is over. */
  lose(): void;
  /** It may only be wound up any more. */
  wind(ending: Ending): void;
  /** These are written. */
  written(steps: readonly StepRecord[]): void;
  /** A record cannot be written because of what is in it. */
  spoil(error: unknown): void;
}

/**
 * Writes what a run has done. A record goes out with the next one that has to be waited for, at the latest in the next
 * turn of the event loop: so the last step of a run and its end are one write.
 */
export class Checkpoints {
  /** By their names: one statement writes a row once. */
  private steps = new Map<string, StepRecord>();
  private values = new Map<string, { key: string; value: Encoded; writes: number }>();
  private writing: Promise<WriteOutcome | undefined> | undefined;
  private timer: NodeJS.Immediate | undefined;
  /** Whether the next write tells that the run has got on since it was recovered. */
  private isProgress: boolean;

  constructor(
    private readonly backend: Pick<WorkflowBackend, 'write' | 'isDataError'>,
    private readonly owner: CheckpointOwner,
    recoveries: number,
  ) {
    this.isProgress = recoveries > 0;
  }

  add(step: StepRecord): void {
    this.steps.set(step.name, over(this.steps.get(step.name), step));
    this.plan();
  }

  setValue(key: string, value: Encoded, writes: number): void {
    this.values.set(key, { key, value, writes });
    this.plan();
  }

  /** What was added and not written yet, for a transaction to write; to be given back when that fails. */
  takeSteps(): StepRecord[] {
    const steps = [...this.steps.values()];
    this.steps = new Map();
    return steps;
  }

  giveBack(steps: readonly StepRecord[]): void {
    const later = [...this.steps.values()];
    this.steps = new Map();
    for (const step of [...steps, ...later]) this.steps.set(step.name, over(this.steps.get(step.name), step));
    if (steps.length > 0) this.plan();
  }

  /** Resolves when all that was added is written; undefined when it is already. Never rejects. */
  flushed(): Promise<void> | undefined {
    if (this.isClean && this.writing === undefined) return undefined;
    return this.flush();
  }

  /**
   * Writes how the run goes on, with what is left to write.
   *
   * @returns undefined when this process may not write any more
   */
  async end(end: RunEnd): Promise<WriteOutcome | undefined> {
    while (this.writing !== undefined) await this.writing;
    return this.write(end);
  }

  private get isClean(): boolean {
    return this.steps.size === 0 && this.values.size === 0;
  }

  private plan(): void {
    this.timer ??= setImmediate(() => {
      this.timer = undefined;
      void this.flushed();
    });
  }

  private async flush(): Promise<void> {
    while (this.writing !== undefined) await this.writing;
    if (!this.isClean) await this.write(undefined);
  }

  private write(end: RunEnd | undefined): Promise<WriteOutcome | undefined> {
    clearImmediate(this.timer);
    this.timer = undefined;
    const { runId, claim, parentId, isAwaitedElsewhere } = this.owner;
    const write: RunWrite = {
      runId,
      claim,
      parentId,
      isAwaitedElsewhere,
      steps: [...this.steps.values()],
      values: [...this.values.values()],
      isProgress: this.isProgress && this.steps.size > 0,
      end,
    };
    this.steps = new Map();
    this.values = new Map();
    if (write.isProgress) this.isProgress = false;
    this.writing = this.send(write).finally(() => {
      this.writing = undefined;
    });
    return this.writing;
  }

  private async send(write: RunWrite): Promise<WriteOutcome | undefined> {
    for (let attempt = 1; this.owner.holds; attempt++) {
      try {
        const outcome = await this.backend.write(write);
        this.owner.outage.worked();
        if (!outcome.held) {
          this.owner.lose();
          return undefined;
        }
        this.owner.written(write.steps);
        if (outcome.ending !== undefined) this.owner.wind(outcome.ending);
        return outcome;
      } catch (error) {
        if (this.backend.isDataError(error)) {
          this.owner.spoil(error);
          return undefined;
        }
        this.owner.outage.failed(error);
        // Writing the same again does no harm.
        await sleep(backoffMs(attempt, RECOVERY), undefined, { ref: false });
      }
    }
    return undefined;
  }
}

/** What is left of two records of a step, of which the first was never written: when it wakes stays known. */
function over(before: StepRecord | undefined, step: StepRecord): StepRecord {
  if (before === undefined) return step;
  const { wakeInMs = before.wakeInMs, wakeAtMs = before.wakeAtMs } = step;
  return { ...step, wakeInMs, wakeAtMs };
}
