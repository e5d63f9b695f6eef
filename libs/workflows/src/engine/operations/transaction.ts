import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError, backoffMs } from '@nestbox/core';
import type { Ending, RunWrite, StepRecord } from '../../workflow.backend.js';
import type { TransactionOptions } from '../../workflow-context.js';
import type { Call } from '../call.js';
import type { Execution } from '../execution.js';
import { StepFailure, StepRunner, checkPolicy } from '../step-runner.js';
import { never } from '../turns.js';
import { recordFailure } from './step.js';

/** A deadlock or a serialization failure is tried again so often. */
const CONFLICTS = 20;
const CONFLICT_WAIT = { baseMs: 5, maxMs: 500 };
/** How long the database may take to answer. */
const PING_MS = 1_000;
const COMMIT_UNKNOWN = 'COMMIT_OUTCOME_UNKNOWN';

/** Does something in a transaction that also records its result. @throws as `WorkflowContext.transaction` */
export async function runTransaction<R>(
  execution: Execution,
  base: string,
  call: Call,
  options: TransactionOptions,
  fn: (() => R | Promise<R>) | undefined,
): Promise<R> {
  if (typeof fn !== 'function') throw new InvalidArgumentError('fn', 'must be a function.');
  const policy = checkPolicy(options);
  const { compensate } = options;
  const transaction = new StepTransaction(execution, call, compensate !== undefined, fn);
  const result = await execution.operate<R>(base, call, async (record) => {
    const runner = new StepRunner(execution, execution.controller.signal);
    const retryIf = (error: unknown): boolean => !(error instanceof NotHeldError) && policy.retryIf(error);
    try {
      const outcome = await runner.run(call, record, { ...policy, retryIf }, ({ attempt }) =>
        transaction.run(attempt),
      );
      return outcome.result;
    } catch (failed) {
      if (failed instanceof StepFailure && failed.failure.error instanceof NotHeldError) {
        const { ending } = failed.failure.error;
        if (ending === undefined) {
          execution.lose();
          return await never<R>();
        }
        execution.wind(ending);
        throw execution.controller.signal.reason;
      }
      throw recordFailure(execution, call, failed);
    }
  });
  if (compensate !== undefined) {
    execution.compensations.add(call, options, (context) => compensate(result, context));
  }
  return result;
}

/** The transaction is rolled back, since the run is somebody else's, or is only wound up any more. */
class NotHeldError extends Error {
  constructor(readonly ending: Ending | undefined) {
    super('The run may not be written to any more.');
  }
}

class StepTransaction<R> {
  constructor(
    private readonly execution: Execution,
    private readonly call: Call,
    private readonly isCompensable: boolean,
    private readonly fn: () => R | Promise<R>,
  ) {}

  run(attempt: number): Promise<R> {
    return this.execution.host.transactions.run(() => this.untilSettled(attempt));
  }

  private async untilSettled(attempt: number): Promise<R> {
    const { backend } = this.execution.host;
    let conflicts = 0;
    let mayBeDone = false;
    for (let tries = 1; ; tries++) {
      try {
        return await this.once(attempt, mayBeDone);
      } catch (error) {
        if (error instanceof NotHeldError) throw error;
        // Nobody knows whether a transaction that was lost at its end is there.
        const isUnknown = isOutcomeUnknown(error);
        mayBeDone ||= isUnknown;
        const isWorthIt = isUnknown || backend.isTransient(error) || backend.isUnavailable(error);
        if (conflicts >= CONFLICTS || !isWorthIt) throw error;
        if (!this.execution.holds) throw new NotHeldError(undefined);
        await sleep(backoffMs(tries, CONFLICT_WAIT), undefined, { ref: false });
        // That the database is away is no fault of the step, however long it takes; and a COMMIT that may have counted
        // must never count as a failure.
        if (codeOf(error) !== COMMIT_UNKNOWN && (await this.isReachable())) conflicts++;
      }
    }
  }

  private async isReachable(): Promise<boolean> {
    try {
      await this.execution.host.backend.ping(PING_MS);
      return true;
    } catch {
      return false;
    }
  }

  private async once(attempt: number, mayBeDone: boolean): Promise<R> {
    const { execution } = this;
    const { host, checkpoints } = execution;
    // Those of other branches that are not written yet go along; should it fail, they go their own way.
    const others = checkpoints.takeSteps();
    let earlier: { result: R } | undefined;
    let written: StepRecord[] = [];
    try {
      const result = await host.backend.transaction(async () => {
        if (mayBeDone) earlier = await this.recorded();
        if (earlier !== undefined) return earlier.result;
        const begin = performance.now();
        const done = await this.fn();
        written = [
          ...others.filter(({ name }) => name !== this.call.name),
          this.recordOf(done, attempt, performance.now() - begin),
        ];
        await this.write(written);
        return done;
      });
      if (earlier !== undefined) checkpoints.giveBack(others);
      host.hooks.onRecorded?.(execution.runId, this.call.name);
      execution.written(written);
      return result;
    } catch (error) {
      checkpoints.giveBack(others);
      throw error;
    }
  }

  /** @throws NotHeldError */
  private async write(steps: readonly StepRecord[]): Promise<void> {
    const outcome = await this.execution.host.backend.writeNow(this.writeOf(steps));
    if (!outcome.held || outcome.ending !== undefined) {
      throw new NotHeldError(outcome.held ? outcome.ending : undefined);
    }
  }

  private recordOf(result: R, attempts: number, durationMs: number): StepRecord {
    const { name, kind, seq, after } = this.call;
    const { isCompensable } = this;
    const encoded = this.execution.encode(result, 'result', `The result of transaction "${name}"`);
    return { name, kind, status: 'done', result: encoded, seq, after, attempts, durationMs, isCompensable };
  }

  private writeOf(steps: readonly StepRecord[]): RunWrite {
    const { runId, claim } = this.execution;
    return {
      runId,
      claim,
      steps,
      values: [],
      isProgress: false,
      parentId: undefined,
      isAwaitedElsewhere: false,
      end: undefined,
    };
  }

  /** What a transaction before this one has recorded. One that is still being committed holds the run: it is waited for. */
  private async recorded(): Promise<{ result: R } | undefined> {
    await this.write([]);
    const steps = await this.execution.host.backend.steps(this.execution.runId);
    const found = steps.find(({ name, status }) => name === this.call.name && status === 'done');
    return found === undefined ? undefined : { result: found.result as R };
  }
}

function isOutcomeUnknown(error: unknown): boolean {
  const code = codeOf(error);
  return code === COMMIT_UNKNOWN || (code === 'TRANSACTION_CLOSED' && stateOf(error) === 'lost');
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}

function stateOf(error: unknown): unknown {
  return (error as { state?: unknown } | null)?.state;
}
