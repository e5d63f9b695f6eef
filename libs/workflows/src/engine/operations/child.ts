import { createHash } from 'node:crypto';
import { decodeValue, encodeError } from '../../values/typed-value.js';
import type { PreparedRun, RunRow } from '../../workflow.backend.js';
import { RunCancelledError } from '../../workflow.errors.js';
import type { ChildOptions } from '../../workflow-context.js';
import type { WorkflowClass } from '../../workflow.decorator.js';
import type { Call } from '../call.js';
import type { Execution } from '../execution.js';
import { persist } from '../persist.js';
import { runErrorOf } from '../run-error.js';

/** How often the end of a run is looked for that somebody else has started. */
const POLL_MS = 2_000;
/** Room for the names of grandchildren. */
const MAX_ID_BYTES = 400;

/** Runs another workflow and waits for it. */
export async function runChild<R>(
  execution: Execution,
  base: string,
  call: Call,
  workflow: WorkflowClass,
  input: unknown,
  options: ChildOptions,
): Promise<R> {
  const id = options.id ?? childId(execution.runId, call.name);
  const run = execution.host.childRun(workflow, input, id, options, execution.runId);
  try {
    return await execution.operate<R>(base, call, async (record) => {
      const { name, kind, seq, after } = call;
      if (record === undefined) execution.record({ name, kind, status: 'pending', seq, after, attempts: 1 });
      const isOwn = await begin(execution, run, record === undefined);
      const outcome = await execution.aside(() => ended(execution, id, isOwn));
      if (outcome.status === 'completed') {
        const result = execution.encode(outcome.output, 'output', `The result of child "${id}"`);
        execution.record({ name, kind, status: 'done', result, seq, after, attempts: 1 });
        return outcome.output as R;
      }
      const error = encodeError(runErrorOf(outcome));
      execution.record({ name, kind, status: 'error', error, seq, after, attempts: 1 });
      throw decodeValue(JSON.parse(error));
    });
  } catch (error) {
    // It may have been started, also by an execution before this one.
    if (execution.isEnding && !execution.over) {
      await execution.hold(() =>
        persist(execution, () => execution.host.backend.cancel([id], encodeError(new RunCancelledError(id)))),
      );
    }
    throw error;
  }
}

/** @returns whether it tells its end to this run; one that somebody else has started does not */
async function begin(execution: Execution, run: PreparedRun, isFirst: boolean): Promise<boolean> {
  const { backend } = execution.host;
  // So that a child which is there already is known to be of an earlier attempt, not of a crash in between.
  if (isFirst) await execution.checkpoints.flushed();
  if (await persist(execution, () => execution.host.startChild(run))) return true;
  const [row] = await persist(execution, () => backend.get([run.id]));
  if (row?.parentId !== run.parentId) return false;
  // The run was retried, and so is its child where that has failed.
  if (isFirst && (await persist(execution, () => backend.retry([run.id], undefined))).length > 0) {
    backend.notifyReady();
  }
  return true;
}

async function ended(execution: Execution, id: string, isOwn: boolean): Promise<RunRow> {
  for (;;) {
    const outcome = await new Promise<RunRow | undefined>((resolve, reject) => {
      const dueAt = isOwn ? Infinity : execution.host.now() + POLL_MS;
      execution.waits.add({ dueAt, childId: id, ended: resolve, expire: () => resolve(undefined), reject });
      execution.host.lookForNews();
    });
    if (outcome !== undefined) return outcome;
  }
}

function childId(runId: string, step: string): string {
  const id = `${runId}/${step}`;
  if (Buffer.byteLength(id) <= MAX_ID_BYTES) return id;
  return createHash('sha256').update(id).digest('hex');
}
