import { setTimeout as sleep } from 'node:timers/promises';
import { withDatabase } from '../event-store/databases.mjs';
import { interleave } from '../lib/interleave.mjs';
import { callersText } from '../workflows/sides.mjs';
import { KEYS } from './everything-workload.mjs';
import { openSide } from './side-process.mjs';

export const EVERYTHING = 'entity, event, key and workflow';
const CASES = [1, 50].map((callers) => ({ name: `${EVERYTHING}, ${callersText(callers)}`, callers }));

/** How long a message may take to be heard in the process that has published it. */
const HEARD_WITHIN_MS = 5_000;

/** How often per second all of it is written: by us in one transaction, with a publish in it; by the others without. */
export async function runEverything({ serverUrl, settings: { rounds, sliceMs }, only, log, report }) {
  const cases = CASES.filter(({ name }) => name.includes(only));
  if (cases.length === 0) return;
  const openers = ['nestbox', 'glue'].map((kind) => (url) => openSide(kind, url));
  await withApplications(serverUrl, openers, async (sides) => {
    // Emmett's documents have their table made by the first append, which fails when there are several at once.
    for (const side of sides) await side.call('place', 0);
    for (const { name, callers } of cases) {
      log(`${name} …`);
      const results = await interleave({
        sides: sides.map((side) => ({
          name: side.name,
          slice: (count, ms) => side.slice('place', count, ms),
        })),
        callers,
        rounds,
        sliceMs,
      });
      report.cases.push({ name, unit: 'calls/s', sides: results });
    }
    for (const side of sides) await check(side, report);
  });
}

/** Runs `fn` with sides open, each with a database of its own: Emmett takes our tables for old ones of its own. */
export async function withApplications(serverUrl, openers, fn, opened = []) {
  const [open, ...others] = openers;
  if (open === undefined) return fn(opened);
  return withDatabase(serverUrl, async (url) => {
    const side = await open(url);
    try {
      return await withApplications(serverUrl, others, fn, [...opened, side]);
    } finally {
      await side.close();
    }
  });
}

/** Everything that was placed is in every store of the side. */
async function check(side, report) {
  const { calls, most } = await side.called('place');
  const keys = Math.min(most, KEYS);
  const expected = { orders: calls, events: calls, projected: calls, runs: calls, keys };
  let found = await side.count();
  if ('heard' in found) expected.heard = calls;
  for (const end = performance.now() + HEARD_WITHIN_MS; performance.now() < end; await sleep(50)) {
    if (found.heard === expected.heard) break;
    found = await side.count();
  }
  for (const [what, count] of Object.entries(expected)) {
    if (found[what] !== count)
      report.failures.push(`${side.name}: ${found[what]} ${what} instead of ${count}`);
  }
}
