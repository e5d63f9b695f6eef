import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError, parseDuration } from '@nestbox/core';
import { encodeError } from '../values/typed-value.js';
import { NonRetryableError, StepTimeoutError } from '../workflow.errors.js';
import type { LoadedStep } from '../workflow.backend.js';
import type { RetryPolicy, StepContext } from '../workflow.types.js';
import { place } from './ambient.js';
import type { Call } from './call.js';
import type { Execution } from './execution.js';
import { never } from './turns.js';

/** A wait before another try that is longer is recorded, and the run parked. */
const STAY_MS = 1_000;

export interface CheckedPolicy {
  readonly retries: number;
  readonly timeoutMs: number | undefined;
  /** The wait before try `attempt`, which is 2 or more, in ms. */
  waitMs(attempt: number): number;
  retryIf(error: unknown): boolean;
}

/** @throws InvalidArgumentError */
export function checkPolicy(
  policy: RetryPolicy & { timeout?: unknown },
  retriesByDefault = 0,
): CheckedPolicy {
  const { retries = retriesByDefault, backoff = {}, retryIf, timeout } = policy;
  if (!(Number.isSafeInteger(retries) && retries >= 0)) {
    throw new InvalidArgumentError('options.retries', `${retries} must be a whole number of at least 0.`);
  }
  const { base = 1_000, factor = 2, max = '1h', jitter = true } = backoff;
  const baseMs = parseDuration(base, 'options.backoff.base');
  const maxMs = parseDuration(max, 'options.backoff.max');
  if (!(factor >= 1)) {
    throw new InvalidArgumentError('options.backoff.factor', `${factor} must be a number of at least 1.`);
  }
  return {
    retries,
    timeoutMs:
      timeout === undefined ? undefined : parseDuration(timeout as string | number, 'options.timeout'),
    waitMs: (attempt) => {
      const full = Math.min(maxMs, baseMs * factor ** (attempt - 2));
      return jitter ? full / 2 + Math.random() * (full / 2) : full;
    },
    retryIf: (error) => !isNonRetryable(error) && (retryIf === undefined || retryIf(error)),
  };
}

export interface Outcome<R> {
  readonly result: R;
  readonly attempts: number;
  readonly durationMs: number;
}

export interface Failure {
  readonly error: unknown;
  readonly attempts: number;
  readonly durationMs: number;
}

/** Runs the function of a step until it has a result, or has failed for good. */
export class StepRunner {
  constructor(
    private readonly execution: Execution,
    /** Aborts when the step has to stop. */
    private readonly signal: AbortSignal,
  ) {}

  /** @throws a {@link StepFailure} */
  async run<R>(
    call: Call,
    record: LoadedStep | undefined,
    policy: CheckedPolicy,
    fn: (context: StepContext) => R | Promise<R>,
  ): Promise<Outcome<R>> {
    let attempt = 1;
    if (record !== undefined) {
      attempt = record.attempts + 1;
      await this.wait(record.remainingMs ?? 0);
    }
    for (; ; attempt++) {
      const begin = performance.now();
      try {
        const context = this.contextOf(call, attempt);
        const result = await this.execution.observation.step(
          { stepName: call.name, kind: call.kind, attempt },
          () => this.attempt(call.name, policy.timeoutMs, context, fn),
        );
        return { result, attempts: attempt, durationMs: performance.now() - begin };
      } catch (error) {
        if (this.execution.over || this.execution.releasing) return await this.execution.aside(() => never());
        const durationMs = performance.now() - begin;
        const isLast = attempt > policy.retries || this.signal.aborted || !policy.retryIf(error);
        if (isLast) throw new StepFailure({ error, attempts: attempt, durationMs });
        await this.waitToRetry(call, attempt, error, policy.waitMs(attempt + 1), durationMs);
      }
    }
  }

  private contextOf(call: Call, attempt: number): StepContext {
    const { runId } = this.execution;
    return {
      runId,
      stepName: call.name,
      attempt,
      idempotencyKey: `${runId}/${call.name}`,
      signal: this.signal,
    };
  }

  private async attempt<R>(
    name: string,
    timeoutMs: number | undefined,
    context: StepContext,
    fn: (context: StepContext) => R | Promise<R>,
  ): Promise<R> {
    const at = place.getStore();
    const inside = async (given: StepContext): Promise<R> =>
      at === undefined ? fn(given) : place.run({ ...at, isInStep: true }, async () => fn(given));
    if (timeoutMs === undefined) return inside(context);
    const timeout = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const error = new StepTimeoutError(name, timeoutMs);
        timeout.abort(error);
        reject(error);
      }, timeoutMs);
    });
    try {
      const signal = AbortSignal.any([context.signal, timeout.signal]);
      return await Promise.race([inside({ ...context, signal }), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private async waitToRetry(
    call: Call,
    attempts: number,
    error: unknown,
    ms: number,
    durationMs: number,
  ): Promise<void> {
    if (ms > STAY_MS) {
      const { name, kind, seq, after } = call;
      const failure = encodeError(error);
      this.execution.record({
        name,
        kind,
        status: 'pending',
        error: failure,
        seq,
        after,
        attempts,
        durationMs,
        wakeInMs: ms,
      });
      await this.wait(ms);
    } else {
      await sleep(ms, undefined, { ref: false, signal: this.signal }).catch(() => undefined);
    }
  }

  /** The run may be parked meanwhile. */
  private async wait(ms: number): Promise<void> {
    if (ms <= 0) return;
    const { execution } = this;
    await execution.aside(
      () =>
        new Promise<void>((expire, reject) => {
          execution.waits.add({ dueAt: execution.host.now() + ms, expire, reject });
        }),
    );
  }
}

/** A step that has failed for good. */
export class StepFailure {
  constructor(readonly failure: Failure) {}
}

/** Told by name, too: an application may have two copies of the package. */
function isNonRetryable(error: unknown): boolean {
  if (error instanceof NonRetryableError) return true;
  if (typeof error !== 'object' || error === null) return false;
  const { name, code } = error as { name?: unknown; code?: unknown };
  return name === 'NonRetryableError' || code === 'NON_RETRYABLE';
}
