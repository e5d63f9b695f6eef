import { messageOf } from '@nestbox/core';
import { encodeError } from '../values/typed-value.js';
import type { RetryPolicy, StepContext } from '../workflow.types.js';
import type { Call } from './call.js';
import type { Execution } from './execution.js';
import { logger } from './logger.js';
import { checkPolicy, StepFailure, StepRunner } from './step-runner.js';

/** How often a compensation is tried again unless its step says otherwise. */
const RETRIES = 10;

interface Compensation {
  readonly call: Call;
  readonly policy: RetryPolicy;
  readonly undo: (context: StepContext) => unknown;
}

/** What has to be undone should the run fail. */
export class Compensations {
  private readonly all: Compensation[] = [];

  constructor(private readonly execution: Execution) {}

  get isEmpty(): boolean {
    return this.all.length === 0;
  }

  add(call: Call, policy: RetryPolicy, undo: (context: StepContext) => unknown): void {
    this.all.push({ call, policy, undo });
  }

  /** Undoes all, the last one first. One that keeps failing is recorded, and does not keep the others from it. */
  async run(): Promise<void> {
    const { execution } = this;
    const runner = new StepRunner(execution, new AbortController().signal);
    const inReverse = this.all.toSorted((a, b) => b.call.seq - a.call.seq);
    for (const { call, policy, undo } of inReverse) {
      if (execution.over) return;
      const name = `undo:${call.name}`;
      const record = execution.journal.aside(name);
      const isDone = record?.status === 'done' || record?.status === 'error';
      if (isDone || execution.host.hooks.onUnrecorded !== undefined) continue;
      const { backoff, retries = RETRIES } = policy;
      const undoing: Call = {
        name,
        kind: 'compensation',
        seq: record?.seq ?? execution.journal.seq(),
        after: call.name,
        record,
      };
      const { kind, seq, after } = undoing;
      try {
        const { attempts, durationMs } = await execution.hold(() =>
          runner.run(
            undoing,
            undefined,
            checkPolicy({ backoff, retries: Math.max(retries, RETRIES) }),
            async (context) => undo(context),
          ),
        );
        execution.record({ name, kind, status: 'done', result: 'null', seq, after, attempts, durationMs });
      } catch (error) {
        if (!(error instanceof StepFailure)) throw error;
        const { failure } = error;
        logger.error(
          `Step "${call.name}" of run "${execution.runId}" could not be undone: ${messageOf(failure.error)}`,
          failure.error,
        );
        const { attempts, durationMs } = failure;
        execution.record({
          name,
          kind,
          status: 'error',
          error: encodeError(failure.error),
          seq,
          after,
          attempts,
          durationMs,
        });
      }
      await execution.checkpoints.flushed();
    }
  }
}
