import postgres from 'postgres';
import { withDatabase } from '../event-store/databases.mjs';
import { dbos } from './dbos-side.mjs';
import { nestbox } from './nestbox-side.mjs';
import { openworkflow } from './openworkflow-side.mjs';

/**
 * Who takes part, as `{ name, open(url, { concurrency, works, middle }) }`. `concurrency` is how many runs the worker
 * may have at once, `works` whether there is one at all, `middle` the middle step of every run. What is opened has
 *
 * - `run(input)`, which starts a run and resolves with its result,
 * - `enqueue(input)`, which resolves when the run is stored,
 * - `work()` and `rest()`, before and after a side has its turn,
 * - `table`, where its runs are, `isCompleted`, which of them are completed, and `close()`.
 */
export const CONTENDERS = [nestbox, dbos, openworkflow];

/** Runs `fn` with all sides open, each with a database of its own on the same server. */
export async function withSides(serverUrl, options, fn, contenders = CONTENDERS) {
  const [first, ...others] = contenders;
  if (first === undefined) return fn([]);
  return withDatabase(serverUrl, async (url) => {
    const side = await first.open(url, options);
    try {
      return await withSides(serverUrl, options, (sides) => fn([side, ...sides]), others);
    } finally {
      await side.close();
    }
  });
}

/** Calls `turn(side, round)` for every side in turns, in rotating order. Round 0 is the one that warms up. */
export async function inTurns(sides, rounds, turn) {
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < sides.length; i++) {
      const side = sides[(round + i) % sides.length];
      globalThis.gc?.();
      await side.work();
      await turn(side, round);
      await side.rest();
    }
  }
}

/** Keeps so many calls of `operation(i)` going for so long, and waits for the last ones. */
export async function keepGoing(operation, callers, ms) {
  const durations = [];
  let next = 0;
  const start = performance.now();
  const caller = async () => {
    while (performance.now() < start + ms) {
      const called = performance.now();
      await operation(next++);
      durations.push(performance.now() - called);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { durations, rate: (durations.length * 1000) / (performance.now() - start) };
}

/** Calls `fn` with what counts a side's runs, in its database and for the given condition, on one connection. */
export async function withCount({ url, table }, fn) {
  const sql = postgres(url, { max: 1, onnotice() {} });
  try {
    return await fn(async (condition) => {
      const [{ count }] = await sql.unsafe(`select count(*)::int from ${table} where ${condition}`);
      return count;
    });
  } finally {
    await sql.end();
  }
}

/** How many runs of a side there are for which the condition holds. */
export function countRuns(side, condition) {
  return withCount(side, (count) => count(condition));
}

export function callersText(callers) {
  return `${callers} caller${callers === 1 ? '' : 's'}`;
}
