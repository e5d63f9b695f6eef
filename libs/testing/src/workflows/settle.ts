import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { Figures } from '@nestbox/workflows';
import { WorkflowTestError } from './errors.js';
import type { TestedService } from './tested-service.js';

/** Runs that an error names. */
const SHOWN = 5;
const TURNS = 20;
const PAUSE_MS = 10;

/**
 * Resolves when no run can go on by itself, to the time in ms until one can; Infinity when none ever will.
 *
 * @throws WorkflowTestError when that takes too long
 */
export async function settle(service: TestedService, timeoutMs: number): Promise<number> {
  const until = performance.now() + timeoutMs;
  for (let tries = 1; ; tries++) {
    const nextInMs = await within(until - performance.now(), look(service));
    if (nextInMs !== undefined) return nextInMs;
    if (performance.now() >= until) throw await tooLate(service, timeoutMs);
    await (tries <= TURNS ? turn() : sleep(PAUSE_MS));
  }
}

/** @returns undefined when something is going on */
async function look(service: TestedService): Promise<number | undefined> {
  await service.replaced();
  const { watched } = service;
  const { taken } = watched;
  const before = await service.figures();
  if (!isQuiet(service, before)) return undefined;
  // Only a worker knows whether what is ready is for anybody, and what is due.
  const looked = Promise.all([watched.claims.next(), watched.dueLooks.next()]);
  service.checkTime();
  const [claims, due] = await looked;
  if (claims === undefined || due === undefined || due.started > 0) return undefined;
  const after = await service.figures();
  // A run that was taken in between may wait again by now, for a time that the look did not see.
  if (watched.taken !== taken || !isQuiet(service, after) || after.ready !== before.ready) return undefined;
  const nextInMs = Math.min(
    claims.nextInMs ?? Infinity,
    due.nextInMs ?? Infinity,
    service.lingering.nextInMs,
  );
  // Something is due that could not be taken, since another transaction has it at the moment.
  return nextInMs > 0 ? nextInMs : undefined;
}

/** @returns undefined when it takes longer */
async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const timeout = new AbortController();
  const late = sleep(Math.max(1, ms), undefined, { signal: timeout.signal }).catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    timeout.abort();
  }
}

function isQuiet(service: TestedService, { claimed }: Figures): boolean {
  return claimed === service.lingering.runs;
}

async function tooLate(service: TestedService, timeoutMs: number): Promise<WorkflowTestError> {
  const { runs } = await service.list({ status: 'running', limit: SHOWN });
  const shown = runs.map(({ id, workflow }) => `"${id}" of "${workflow}"`).join(', ');
  return new WorkflowTestError(
    `Runs were still at it after ${timeoutMs} ms: ${shown === '' ? 'none that can be seen' : shown}. ` +
      'A step of theirs may hang, or may need something that the test has not done yet. ' +
      'Time can be skipped meanwhile with skipTime(duration, { wait: false }).',
  );
}
