import { interleave } from '../lib/interleave.mjs';
import { withSides } from './sides.mjs';
import { operationsOf } from './workload.mjs';

const CASES = [
  { name: 'append 1 event', operation: 'append 1', callers: 1, target: 1.3 },
  { name: 'append 1 event', operation: 'append 1', callers: 20, target: 4 },
  { name: 'append 1 event', operation: 'append 1', callers: 100, target: 8 },
  { name: 'append 10 events', operation: 'append 10', callers: 1, target: 3 },
  { name: 'append 10 events', operation: 'append 10', callers: 20, target: 3 },
  { name: 'append with an inline projection', operation: 'project', callers: 1, target: 3 },
  { name: 'append with an inline projection', operation: 'project', callers: 20, target: 3 },
  { name: 'read a stream of 100', operation: 'read', callers: 1, target: 1.4 },
  { name: 'read a stream of 100', operation: 'read', callers: 20, target: 1.4 },
  { name: 'aggregate a stream of 10,000', operation: 'aggregate', callers: 1 },
].map((c) => ({ ...c, name: `${c.name}, ${c.callers} caller${c.callers === 1 ? '' : 's'}` }));

/** Calls per second of what an application does all day. */
export async function runOperations({ serverUrl, settings: { rounds, sliceMs }, only, log, report }) {
  const cases = CASES.filter(({ name }) => name.includes(only));
  if (cases.length === 0) return;
  await withSides(serverUrl, async (sides) => {
    const operations = new Map(sides.map((side) => [side, operationsOf(side)]));
    for (const side of sides) await operations.get(side).fill();
    for (const { name, operation, callers, target } of cases) {
      log(`${name} …`);
      const results = await interleave({
        sides: sides.map((side) => ({ name: side.name, operation: operations.get(side)[operation] })),
        callers,
        rounds,
        sliceMs,
      });
      report.cases.push({
        name,
        unit: 'calls/s',
        sides: results,
        targets: target === undefined ? {} : { emmett: target },
      });
    }
    for (const side of sides) {
      const { events, projected } = operations.get(side).written;
      expectCount(report, `${side.name}: events`, await side.countEvents(), events + projected);
      // Emmett makes the collection with the first document.
      if (projected > 0) {
        expectCount(report, `${side.name}: events in documents`, await side.countProjected(), projected);
      }
    }
  });
}

function expectCount(report, what, actual, expected) {
  if (actual !== expected) report.failures.push(`${what}: ${actual} instead of ${expected}`);
}
