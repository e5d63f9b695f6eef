import { setTimeout as sleep } from 'node:timers/promises';
import { identify, stillRuns } from './process-identity.js';

/** Each way to end a server, and how long it gets: a fast shutdown, one without a checkpoint, and none. */
const WAYS: readonly [NodeJS.Signals, timeoutMs: number][] = [
  ['SIGINT', 10_000],
  ['SIGQUIT', 5_000],
  ['SIGKILL', 5_000],
];

/** Stops a server. Whatever it takes, the data is safe: what was committed is in its log. */
export async function stopServer(pid: number): Promise<void> {
  const identity = await identify(pid);
  if (identity === undefined) return;
  for (const [signal, timeoutMs] of WAYS) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended meanwhile.
      return;
    }
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      if (!(await stillRuns(identity))) return;
      await sleep(10);
    }
  }
}
