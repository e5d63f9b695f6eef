import { setTimeout as sleep } from 'node:timers/promises';

/** Waits, unless the signal is given. Never rejects. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    // Whoever waits looks at the signal himself.
  }
}
