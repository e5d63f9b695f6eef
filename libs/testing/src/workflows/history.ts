import { InvalidArgumentError } from '@nestbox/core';
import {
  RunNotFoundError,
  encodeValue,
  type LoadedStep,
  type RunStatus,
  type StepKind,
  type StepStatus,
  type WorkflowService,
} from '@nestbox/workflows';

/** A step as it was recorded. Values are JSON, in which those of other types are marked. */
export interface RecordedStep {
  readonly name: string;
  readonly kind: StepKind;
  readonly status: StepStatus;
  readonly result?: unknown;
  readonly error?: unknown;
  /** The order of the calls. */
  readonly seq: number;
  /** The call that led to it. */
  readonly after?: string;
  readonly attempts: number;
  /** What was left of its wait, in ms: 0 or less when that was over. */
  readonly remainingMs?: number;
}

/** What a run has done: JSON that can be stored, and replayed with other code. */
export interface RunHistory {
  readonly format: 1;
  readonly runId: string;
  readonly workflow: string;
  readonly version?: string;
  readonly status: RunStatus;
  readonly input: unknown;
  readonly output?: unknown;
  readonly error?: unknown;
  readonly steps: readonly RecordedStep[];
}

/**
 * What a run has done so far, of any service: also of one that is only connected to the database of the application.
 *
 * @throws RunNotFoundError
 */
export async function exportHistory(workflows: WorkflowService, runId: string): Promise<RunHistory> {
  await workflows.init();
  const { backend } = workflows;
  const [[run], steps] = await Promise.all([backend.get([runId]), backend.steps(runId)]);
  if (run === undefined) throw new RunNotFoundError(runId);
  const { workflow, version, status, input, output, error } = run;
  return {
    format: 1,
    runId,
    workflow,
    ...(version !== undefined && { version }),
    status,
    input: jsonOf(input),
    ...(status === 'completed' && { output: jsonOf(output) }),
    ...(error !== undefined && { error: jsonOf(error) }),
    steps: steps.map(recordedStepOf),
  };
}

/** @throws InvalidArgumentError for what {@link exportHistory} has not made */
export function checkHistory(history: RunHistory): void {
  const path = 'history';
  if (typeof history !== 'object' || history === null || history.format !== 1) {
    throw new InvalidArgumentError(
      path,
      'must be what history(runId) has given, or the same as JSON.parse gives it.',
    );
  }
  const { runId, workflow, steps } = history;
  if (typeof runId !== 'string') throw new InvalidArgumentError(`${path}.runId`, 'must be a text.');
  if (typeof workflow !== 'string') throw new InvalidArgumentError(`${path}.workflow`, 'must be a text.');
  if (!Array.isArray(steps)) throw new InvalidArgumentError(`${path}.steps`, 'must be an array.');
  for (const [i, step] of (steps as readonly RecordedStep[]).entries()) {
    const { name, kind, seq } = step ?? {};
    if (typeof name === 'string' && typeof kind === 'string' && Number.isSafeInteger(seq)) continue;
    throw new InvalidArgumentError(`${path}.steps[${i}]`, 'must have a name, a kind and a seq.');
  }
}

function recordedStepOf(step: LoadedStep): RecordedStep {
  const { name, kind, status, result, error, seq, after, attempts, remainingMs } = step;
  return {
    name,
    kind,
    status,
    ...(status === 'done' && { result: jsonOf(result) }),
    ...(error !== undefined && { error: jsonOf(error) }),
    seq,
    ...(after !== undefined && { after }),
    attempts,
    ...(remainingMs !== undefined && { remainingMs }),
  };
}

function jsonOf(value: unknown): unknown {
  return JSON.parse(encodeValue(value, 'value'));
}
