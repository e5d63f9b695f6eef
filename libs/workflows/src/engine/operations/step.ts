import { InvalidArgumentError } from '@nestbox/core';
import { decodeValue, encodeError } from '../../values/typed-value.js';
import type { Encoded, StepRecord } from '../../workflow.backend.js';
import type { StepContext, StepOptions } from '../../workflow.types.js';
import type { Call } from '../call.js';
import type { Execution } from '../execution.js';
import { StepFailure, StepRunner, checkPolicy } from '../step-runner.js';

/** @throws as `WorkflowContext.step` */
export async function runStep<R>(
  execution: Execution,
  base: string,
  call: Call,
  options: StepOptions,
  fn: ((context: StepContext) => R | Promise<R>) | undefined,
): Promise<R> {
  if (typeof fn !== 'function') throw new InvalidArgumentError('fn', 'must be a function.');
  const policy = checkPolicy(options);
  const { compensate } = options;
  const result = await execution.operate<R>(base, call, async (record) => {
    const { name, kind, seq, after } = call;
    const runner = new StepRunner(execution, execution.controller.signal);
    const outcome = await runner.run(call, record, policy, fn).catch((failed: unknown) => {
      throw recordFailure(execution, call, failed);
    });
    let encoded: Encoded;
    try {
      encoded = execution.encode(outcome.result, 'result', `The result of step "${name}"`);
    } catch (error) {
      const { attempts, durationMs } = outcome;
      throw recordFailure(execution, call, new StepFailure({ error, attempts, durationMs }));
    }
    const isCompensable = compensate !== undefined;
    const { attempts, durationMs } = outcome;
    execution.record({
      name,
      kind,
      status: 'done',
      result: encoded,
      seq,
      after,
      attempts,
      durationMs,
      isCompensable,
    });
    return outcome.result;
  });
  if (compensate !== undefined) {
    execution.compensations.add(call, options, (context) => compensate(result, context));
  }
  return result;
}

/** Records that a step has failed for good. @returns the error as a replay will see it */
export function recordFailure(execution: Execution, call: Call, failed: unknown): unknown {
  if (!(failed instanceof StepFailure) || execution.over) return failed;
  const { error: thrown, attempts, durationMs } = failed.failure;
  // That of a run which is being wound up is no result of the step.
  if (execution.isEnding && execution.controller.signal.aborted) return thrown;
  const { name, kind, seq, after } = call;
  const error = encodeError(thrown);
  const record: StepRecord = { name, kind, status: 'error', error, seq, after, attempts, durationMs };
  execution.record(record);
  return decodeValue(JSON.parse(error));
}
