import type { Call } from '../call.js';
import type { Execution } from '../execution.js';

/** Waits until the time that was first recorded. */
export function sleepFor(
  execution: Execution,
  base: string,
  call: Call,
  until: { readonly wakeInMs?: number; readonly wakeAtMs?: number },
): Promise<void> {
  return execution.operate(base, call, async (record) => {
    const { name, kind, seq, after } = call;
    const { host, waits } = execution;
    const givenMs = until.wakeInMs ?? until.wakeAtMs! - host.wallTime();
    const ms = record?.remainingMs ?? givenMs;
    if (record === undefined) {
      execution.record({ name, kind, status: 'pending', seq, after, attempts: 1, ...until });
    }
    if (ms <= 0) return;
    await execution.aside(
      () =>
        new Promise<void>((expire, reject) => {
          waits.add({ dueAt: host.now() + ms, expire, reject });
        }),
    );
  });
}
