import { backoffMs } from '@nestbox/core';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a start is tried again. */
export interface StartOptions {
  /** For how long it is tried, in ms; `Infinity` for ever. */
  timeoutMs: number;
  /** Ends the attempts. */
  signal: AbortSignal;
  /** Called after the first failure. */
  onFirstFailure: (error: unknown) => void;
}

const PAUSE = { baseMs: 100, maxMs: 2000 };

/**
 * Tries to start something until it succeeds.
 *
 * @returns how many attempts it took
 * @throws the last error when the time is up or the signal was given
 */
export async function startWithin(
  start: () => Promise<void>,
  { timeoutMs, signal, onFirstFailure }: StartOptions,
): Promise<number> {
  const deadline = performance.now() + timeoutMs;
  for (let attempt = 1; ; attempt++) {
    try {
      await start();
      return attempt;
    } catch (error) {
      const pause = backoffMs(attempt, PAUSE);
      if (signal.aborted || performance.now() + pause > deadline) throw error;
      if (attempt === 1) onFirstFailure(error);
      // Rejects only when the signal is given.
      await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}
