import { setTimeout as sleep } from 'node:timers/promises';
import { countStatements, withCountingServer } from '../lib/statement-counter.mjs';
import { callersText, inTurns, keepGoing, withSides } from './sides.mjs';
import { runOnce } from './workload.mjs';

const CASES = [
  { callers: 1, target: 5 },
  { callers: 100, target: 0.5 },
].map((c) => ({ ...c, name: `statements per 3-step run, ${callersText(c.callers)}` }));

const WARM_UP_RUNS = 3;
/** For what a side still has to write after it has said the result. */
const SETTLE_MS = 200;

/**
 * Statements that the server got per run, `begin` and `commit` included, and what a side asks in the background as well.
 * Counted by pg_stat_statements, which counts what a function does inside as its one call.
 */
export async function runStatements({ settings: { statementsMs }, only, log, report }) {
  const cases = CASES.filter(({ name }) => name.includes(only));
  if (cases.length === 0) return;
  await withCountingServer(async (serverUrl) => {
    for (const { name, callers, target } of cases) {
      log(`${name} …`);
      await withSides(serverUrl, { concurrency: callers }, async (sides) => {
        const notes = new Map(sides.map((side) => [side, '']));
        await inTurns(sides, 1, async (side, round) => {
          if (round === 0) for (let i = 0; i < WARM_UP_RUNS; i++) await runOnce(side, i);
          else notes.set(side, await measure(serverUrl, side, { name, callers, target, ms: statementsMs }));
        });
        report.notes.push(...notes.values());
      });
    }
  });
}

async function measure(serverUrl, side, { name, callers, target, ms }) {
  const before = await countStatements(serverUrl, side.url);
  const { durations } = await keepGoing((i) => runOnce(side, i), callers, ms);
  await sleep(SETTLE_MS);
  const perRun = ((await countStatements(serverUrl, side.url)) - before) / durations.length;
  const verdict =
    side.name === 'nestbox' ? `; target <= ${target} ${perRun <= target ? 'met' : 'MISSED'}` : '';
  return `${name}, ${side.name}: ${perRun.toFixed(2)} (${durations.length} runs)${verdict}.`;
}
