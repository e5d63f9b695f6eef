import { setTimeout as sleep } from 'node:timers/promises';

/** How long a condition is waited for. */
export interface EventuallyOptions {
  /** How long to try, in ms. Default: 10,000. */
  timeoutMs?: number;
  /** The longest pause between two tries, in ms. Default: 100. */
  intervalMs?: number;
}

/**
 * Tries a check again and again until it holds, and resolves to what it returned. A check holds when it neither
 * throws nor returns `false`, `null`, `0` or `''`; `undefined` counts as success, so that a function of nothing but
 * `expect` calls can be used.
 *
 * When the time is up, the check's own last error is thrown, so that a failing `expect` is shown as it is.
 */
export async function eventually<T>(
  check: () => T | PromiseLike<T>,
  { timeoutMs = 10_000, intervalMs = 100 }: EventuallyOptions = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let pause = 5;
  for (;;) {
    let failure: unknown;
    try {
      const result = await check();
      if (result === undefined || Boolean(result)) return result;
      failure = new Error(`Still ${JSON.stringify(result)} after ${timeoutMs} ms.`);
    } catch (error) {
      failure = error;
    }
    if (performance.now() >= deadline) throw failure;
    await sleep(pause);
    pause = Math.min(intervalMs, pause * 2);
  }
}
