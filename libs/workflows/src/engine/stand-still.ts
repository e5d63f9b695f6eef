import type { Call } from './call.js';
import type { Execution } from './execution.js';

/** For tests: waits where something would have to be done that is not recorded. */
export async function standStill(execution: Execution, { name, kind, record }: Call): Promise<void> {
  // Nothing is recorded of a sleep that is over.
  if (kind === 'sleep' && record !== undefined && (record.remainingMs ?? 0) <= 0) return;
  if (execution.journal.left > 0) await execution.caughtUp();
  execution.host.hooks.onUnrecorded?.(execution.runId, name);
  await execution.aside(
    () =>
      new Promise<void>((expire, reject) => {
        execution.waits.add({ dueAt: Infinity, expire, reject });
      }),
  );
}
