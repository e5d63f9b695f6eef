import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

/** For code that nobody waits for any more. */
export function never<R = never>(): Promise<R> {
  return new Promise<R>(() => undefined);
}

/** Code that waits for something else than its context, which it should not, gets some time for it. */
const GRACE_MS = 100;
const LOOK_MS = 5;

/** Resolves when a count has stopped growing, or `isDone` says that there is no more to come. */
export async function quiescence(count: () => number, isDone: () => boolean): Promise<void> {
  let seen = -1;
  while (seen !== count() && !isDone()) {
    seen = count();
    await nextTurn();
    await nextTurn();
  }
  const until = performance.now() + GRACE_MS;
  while (!isDone() && performance.now() < until) await sleep(LOOK_MS, undefined, { ref: false });
}
