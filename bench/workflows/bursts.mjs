import { setTimeout as sleep } from 'node:timers/promises';
import { summarise } from '../lib/interleave.mjs';
import { inTurns, withCount, withSides } from './sides.mjs';

const STARTERS = 100;
const LOOK_MS = 20;
const GIVE_UP_MS = 120_000;

/**
 * Many runs at once, started by callers who do not wait: runs per second from the first start until the database says
 * that all are completed. So nobody's way of waiting for a result matters.
 */
export async function runBursts({ serverUrl, settings: { burst }, only, log, report }) {
  const name = `burst of ${burst.runs.toLocaleString('en-US')} 3-step runs`;
  if (!name.includes(only)) return;
  log(`${name} …`);
  await withSides(serverUrl, { concurrency: STARTERS }, async (sides) => {
    const rates = new Map(sides.map((side) => [side.name, []]));
    await inTurns(sides, burst.rounds, async (side, round) => {
      const rate = await burstOf(side, burst.runs);
      if (round > 0) rates.get(side.name).push(rate);
    });
    report.cases.push({ name, unit: 'runs/s', sides: summarise(rates) });
  });
}

function burstOf(side, runs) {
  return withCount(side, async (count) => {
    const before = await count(side.isCompleted);
    let next = 0;
    const start = performance.now();
    const starter = async () => {
      while (next < runs) await side.enqueue({ i: next++ });
    };
    await Promise.all(Array.from({ length: STARTERS }, starter));
    for (;;) {
      const completed = (await count(side.isCompleted)) - before;
      const ms = performance.now() - start;
      if (completed === runs) return (runs * 1000) / ms;
      if (ms > GIVE_UP_MS)
        throw new Error(`${side.name}: ${completed} of ${runs} runs completed in ${ms} ms`);
      await sleep(LOOK_MS);
    }
  });
}
