import { InvalidArgumentError } from '@nestbox/core';
import {
  MemoryWorkflowBackend,
  WorkflowService,
  decodeValue,
  type StepRecord,
  type WorkflowBackend,
  type WorkflowClass,
} from '@nestbox/workflows';
import { eventually } from '../eventually.js';
import { WorkflowTestError } from './errors.js';
import { checkHistory, type RecordedStep, type RunHistory } from './history.js';

const NEVER = '3650d';

/** How code got on with a history. */
export interface ReplayOutcome {
  /**
   * `suspended` when the code has come to the end of the history and would go on from there, or wait. `stuck` when it
   * does not fit the history; `error` is a NonDeterminismError then.
   */
  readonly status: 'completed' | 'failed' | 'suspended' | 'stuck';
  /** Of a run that has completed. */
  readonly output: unknown;
  /** Of one that has failed or is stuck. */
  readonly error: unknown;
  /** What the code would do or wait for next, which is not recorded. */
  readonly next: readonly string[];
}

/**
 * Runs the code of a workflow against the history of a run. Nothing is done that a step, a compensation or a child would
 * do: what is recorded is given back, and what is not recorded ends the replay.
 *
 * @param workflow an instance of a class with `@Workflow`
 * @param options.timeoutMs how long the code may take. Default: 10,000
 * @throws InvalidArgumentError for a history of another workflow; WorkflowTestError when the code does not end
 */
export async function replayHistory(
  workflow: object,
  history: RunHistory,
  { timeoutMs = 10_000 }: { timeoutMs?: number } = {},
): Promise<ReplayOutcome> {
  checkHistory(history);
  const backend = new MemoryWorkflowBackend();
  const next: string[] = [];
  const service = new WorkflowService(backend, {
    workflows: [workflow],
    maxPayloadBytes: Number.MAX_SAFE_INTEGER,
    drainTimeout: 1,
    parksAtOnce: true,
    onUnrecorded: (_, stepName) => next.push(stepName),
  });
  try {
    await start(service, workflow, history);
    await record(backend, history);
    await service.startWorker();
    const outcome = await end(backend, history, timeoutMs);
    // A branch that was left behind may have been at its end, too.
    return { ...outcome, next: outcome.status === 'suspended' ? next : [] };
  } finally {
    await service.close();
  }
}

/** The run is there, and nobody has it yet. */
async function start(service: WorkflowService, workflow: object, history: RunHistory): Promise<void> {
  const handle = await service.start(workflow.constructor as WorkflowClass, decodeValue(history.input), {
    id: history.runId,
    // That of the class counts from now on, and says nothing about the code.
    deadline: NEVER,
  });
  const { workflow: name } = await handle.info();
  if (name === history.workflow) return;
  throw new InvalidArgumentError(
    'history.workflow',
    `is "${history.workflow}", and the class ${workflow.constructor.name} is "${name}".`,
  );
}

async function record(backend: WorkflowBackend, { runId, workflow, steps }: RunHistory): Promise<void> {
  const lease = await backend.join(60_000);
  const { runs } = await backend.claim({
    worker: lease.worker,
    limit: 1,
    workflows: [workflow],
    queues: undefined,
  });
  await backend.write({
    runId,
    claim: runs[0]!.claim,
    steps: steps.map(stepRecordOf),
    values: [],
    isProgress: false,
    parentId: undefined,
    isAwaitedElsewhere: false,
    end: { kind: 'release' },
  });
  await lease.release();
}

function stepRecordOf(step: RecordedStep): StepRecord {
  const { name, kind, status, seq, after, attempts, remainingMs } = step;
  return {
    name,
    kind,
    status: status === 'scheduled' ? 'pending' : status,
    result: 'result' in step ? JSON.stringify(step.result) : undefined,
    error: 'error' in step ? JSON.stringify(step.error) : undefined,
    seq,
    after,
    attempts,
    wakeInMs: remainingMs,
  };
}

async function end(
  backend: WorkflowBackend,
  { runId, workflow }: RunHistory,
  timeoutMs: number,
): Promise<Omit<ReplayOutcome, 'next'>> {
  const check = async (): Promise<Omit<ReplayOutcome, 'next'> | false> => {
    const [run] = await backend.get([runId]);
    const { status, output, error } = run!;
    if (status === 'running') return false;
    return { status: status === 'cancelled' || status === 'dead' ? 'failed' : status, output, error };
  };
  try {
    const outcome = await eventually(check, { timeoutMs, intervalMs: 10 });
    if (outcome !== false) return outcome;
    throw new Error('It is still running.');
  } catch (cause) {
    throw new WorkflowTestError(
      `The code of "${workflow}" did not come to an end with the history of run "${runId}" within ${timeoutMs} ms. ` +
        'It may wait for something else than its context.',
      { cause },
    );
  }
}
