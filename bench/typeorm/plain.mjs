import { ask, withDatabase } from '../event-store/databases.mjs';
import { interleave } from '../lib/interleave.mjs';
import { callersText } from '../workflows/sides.mjs';
import { preparePlain } from './plain-sides.mjs';
import { openSide } from './side-process.mjs';

/** What shares the transaction with the stores may cost a tenth of the speed, and no more. */
const TARGETS = { typeorm: 0.9 };

export const OPERATIONS = [
  { name: 'insert an entity', operation: 'insert' },
  { name: 'read, change and write an entity', operation: 'change' },
  { name: 'three nested transactions', operation: 'nest' },
];
const CASES = OPERATIONS.flatMap(({ name, operation }) =>
  [1, 50].map((callers) => ({ name: `${name}, ${callersText(callers)}`, operation, callers })),
);

/** Transactions per second with nothing but entities in them. */
export async function runPlain({ serverUrl, settings: { rounds, sliceMs }, only, log, report }) {
  const cases = CASES.filter(({ name }) => name.includes(only));
  if (cases.length === 0) return;
  await withDatabase(serverUrl, async (url) => {
    await preparePlain(url);
    const sides = [];
    try {
      for (const kind of ['run', 'typeorm']) sides.push(await openSide(kind, url));
      for (const { name, operation, callers } of cases) {
        log(`${name} …`);
        const results = await interleave({
          sides: sides.map((side) => ({
            name: side.name,
            slice: (count, ms) => side.slice(operation, count, ms),
          })),
          callers,
          rounds,
          sliceMs,
        });
        report.cases.push({ name, unit: 'tx/s', sides: results, targets: TARGETS });
      }
      await check(url, sides, report);
    } finally {
      for (const side of sides) await side.close();
    }
  });
}

async function check(url, sides, report) {
  const found = await ask(
    url,
    `select (select count(*) from shop_order)::int as orders, (select sum(balance) from account)::int as changes`,
  );
  const expected = { orders: 0, changes: 0 };
  for (const side of sides) {
    expected.orders += (await side.called('insert')).calls + 3 * (await side.called('nest')).calls;
    expected.changes += (await side.called('change')).calls;
  }
  for (const [what, count] of Object.entries(expected)) {
    if (found[what] !== count) report.failures.push(`entities: ${found[what]} ${what} instead of ${count}`);
  }
}
