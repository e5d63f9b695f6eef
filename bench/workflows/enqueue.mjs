import { summarise } from '../lib/interleave.mjs';
import { callersText, countRuns, inTurns, keepGoing, withSides } from './sides.mjs';

const CASES = [1, 20, 100].map((callers) => ({ callers, name: `enqueue, ${callersText(callers)}` }));

/** Runs stored per second by a program that has no worker, so that none of them begins. */
export async function runEnqueue({ serverUrl, settings: { rounds, enqueueMs }, only, log, report }) {
  const cases = CASES.filter(({ name }) => name.includes(only));
  if (cases.length === 0) return;
  await withSides(serverUrl, { works: false }, async (sides) => {
    const stored = new Map(sides.map((side) => [side.name, 0]));
    for (const { name, callers } of cases) {
      log(`${name} …`);
      const rates = new Map(sides.map((side) => [side.name, []]));
      await inTurns(sides, rounds, async (side, round) => {
        const ms = round === 0 ? enqueueMs / 2 : enqueueMs;
        const { rate, durations } = await keepGoing((i) => side.enqueue({ i }), callers, ms);
        stored.set(side.name, stored.get(side.name) + durations.length);
        if (round > 0) rates.get(side.name).push(rate);
      });
      report.cases.push({ name, unit: 'runs/s', sides: summarise(rates) });
    }
    for (const side of sides) {
      const count = await countRuns(side, 'true');
      const expected = stored.get(side.name);
      if (count !== expected)
        report.failures.push(`enqueue, ${side.name}: ${count} runs instead of ${expected}`);
    }
  });
}
