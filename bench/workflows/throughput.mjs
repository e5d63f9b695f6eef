import { summarise } from '../lib/interleave.mjs';
import { quantile } from '../lib/statistics.mjs';
import { callersText, countRuns, inTurns, keepGoing, withSides } from './sides.mjs';
import { runOnce } from './workload.mjs';

const CASES = [
  { callers: 1, targets: {} },
  { callers: 20, targets: {} },
  { callers: 100, targets: { dbos: 10, openworkflow: 10 } },
].map((c) => ({ ...c, name: `3-step runs, ${callersText(c.callers)}` }));

/** What p50 from start to result may be with one caller, in ms. */
const TARGET_MS = 10;

/** Runs per second when every caller starts one, waits for its result and starts the next; and how long each took. */
export async function runThroughput({ serverUrl, settings: { rounds, sliceMs }, only, log, report }) {
  for (const { name, callers, targets } of CASES.filter((c) => c.name.includes(only))) {
    log(`${name} …`);
    await withSides(serverUrl, { concurrency: callers }, async (sides) => {
      const samples = new Map(sides.map((side) => [side.name, { rates: [], durations: [], done: 0 }]));
      await inTurns(sides, rounds, async (side, round) => {
        const sample = samples.get(side.name);
        const ms = round === 0 ? sliceMs / 2 : sliceMs;
        const { rate, durations } = await keepGoing((i) => runOnce(side, i), callers, ms);
        sample.done += durations.length;
        if (round === 0) return;
        sample.rates.push(rate);
        sample.durations.push(...durations);
      });
      const rates = new Map([...samples].map(([side, sample]) => [side, sample.rates]));
      report.cases.push({ name, unit: 'runs/s', sides: summarise(rates), targets });
      for (const side of sides) {
        const { durations, done } = samples.get(side.name);
        report.notes.push(describe(side.name, name, callers, durations));
        const completed = await countRuns(side, side.isCompleted);
        if (completed !== done)
          report.failures.push(`${name}, ${side.name}: ${completed} runs of ${done} completed`);
      }
    });
  }
}

function describe(side, name, callers, durations) {
  const p50 = quantile(durations, 0.5);
  const verdict =
    side === 'nestbox' && callers === 1
      ? `; target p50 <= ${TARGET_MS} ms ${p50 <= TARGET_MS ? 'met' : 'MISSED'}`
      : '';
  return (
    `Start to result, ${name}, ${side}: p50 ${p50.toFixed(1)} ms, p99 ${quantile(durations, 0.99).toFixed(1)} ms ` +
    `(${durations.length} runs)${verdict}.`
  );
}
