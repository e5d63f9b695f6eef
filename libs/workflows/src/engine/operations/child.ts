import { createHash } from 'node:crypto';
import { decodeValue, encodeError } from '../../values/typed-value.js';
import type { RunRow } from '../../workflow.backend.js';
import { RunCancelledError } from '../../workflow.errors.js';
import type { ChildOptions } from '../../workflow-context.js';
import type { WorkflowClass } from '../../workflow.decorator.js';
import type { Call } from '../call.js';
import type { Execution } from '../execution.js';
import { persist } from '../persist.js';
import { runErrorOf } from '../run-error.js';

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
      await persist(execution, () => execution.host.startChild(run));
      const outcome = await execution.aside(() => end(execution, id));
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

function end(execution: Execution, id: string): Promise<RunRow> {
  return new Promise((ended, reject) => {
    execution.waits.add({ dueAt: Infinity, childId: id, ended, expire: () => undefined, reject });
    execution.host.lookForNews();
  });
}

function childId(runId: string, step: string): string {
  const id = `${runId}/${step}`;
  if (Buffer.byteLength(id) <= MAX_ID_BYTES) return id;
  return createHash('sha256').update(id).digest('hex');
}
