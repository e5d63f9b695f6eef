import { encodeError, decodeValue } from '../../values/typed-value.js';
import type { SignalRow } from '../../workflow.backend.js';
import { SignalTimeoutError } from '../../workflow.errors.js';
import type { Call } from '../call.js';
import type { Execution } from '../execution.js';
import { persist } from '../persist.js';

/** Waits for a signal that nobody has taken. @throws SignalTimeoutError */
export function awaitSignal<T>(
  execution: Execution,
  base: string,
  call: Call,
  signalName: string,
  timeoutMs: number | undefined,
): Promise<T> {
  return execution.operate<T>(base, call, async (record) => {
    const { name, kind, seq, after } = call;
    if (record === undefined) {
      execution.record({ name, kind, status: 'pending', seq, after, attempts: 1, wakeInMs: timeoutMs });
    }
    const ms = record?.remainingMs ?? timeoutMs;
    const signal = await execution.aside(() => next(execution, signalName, ms));
    if (signal === undefined) {
      const error = encodeError(new SignalTimeoutError(signalName, timeoutMs ?? 0));
      execution.record({ name, kind, status: 'error', error, seq, after, attempts: 1 });
      throw decodeValue(JSON.parse(error));
    }
    const result = execution.encode(signal.payload, 'payload', `Signal "${signalName}"`);
    execution.record({ name, kind, status: 'done', result, seq, after, attempts: 1, signalId: signal.id });
    return signal.payload as T;
  });
}

/** @returns undefined when none came in time */
function next(
  execution: Execution,
  signalName: string,
  ms: number | undefined,
): Promise<SignalRow | undefined> {
  const { waits, host } = execution;
  return new Promise((resolve, reject) => {
    waits.add({
      dueAt: ms === undefined ? Infinity : host.now() + ms,
      signalName,
      signalled: resolve,
      // One that was sent in time may not have been heard of. Parked meanwhile, the run would not wake for its timeout.
      expire: () =>
        void execution.hold(() => lastLook(execution, signalName)).then(resolve, () => resolve(undefined)),
      reject,
    });
    host.lookForNews();
  });
}

async function lastLook(execution: Execution, signalName: string): Promise<SignalRow | undefined> {
  const { signals } = await persist(execution, () => execution.host.backend.news('', [execution.runId], []));
  const found = signals.find(({ id, name }) => name === signalName && !execution.takenSignals.has(id));
  if (found !== undefined) execution.takenSignals.add(found.id);
  return found;
}
