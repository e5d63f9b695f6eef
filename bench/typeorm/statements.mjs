import { setTimeout as sleep } from 'node:timers/promises';
import { countStatements, withCountingServer } from '../lib/statement-counter.mjs';
import { EVERYTHING, withApplications } from './everything.mjs';
import { openGlue } from './glue-side.mjs';
import { openNestbox } from './nestbox-app.mjs';
import { openRun, openTypeOrm, preparePlain } from './plain-sides.mjs';
import { OPERATIONS } from './plain.mjs';
import { withRoundTripProxy } from './round-trip-proxy.mjs';

const PREFIX = 'statements per transaction';
/** Enough for ten connections to have prepared what they are to run. */
const WARM_UP_CALLS = 30;
/** For what a side still does after the call. */
const SETTLE_MS = 200;

/**
 * How many statements the server gets for a transaction of one caller, `begin` and `commit` included, and in how many
 * round trips; with what a side does in the background meanwhile.
 */
export async function runStatements({ settings: { counted }, only, log, report }) {
  const plain = OPERATIONS.filter(({ name }) => caseOf(name).includes(only));
  const isEverything = caseOf(EVERYTHING).includes(only);
  if (plain.length === 0 && !isEverything) return;
  await withCountingServer((serverUrl) =>
    withRoundTripProxy(serverUrl, async (proxy) => {
      const measureAll = async (name, operation, sides) => {
        log(`${caseOf(name)} …`);
        for (const side of sides) {
          const call = side.operations[operation];
          report.notes.push(await measure({ name, side, call, counted, serverUrl, proxy }));
        }
      };
      if (plain.length > 0) {
        const openers = [openRun, openTypeOrm].map((open) => async (url) => {
          await preparePlain(url);
          return open(proxy.through(url));
        });
        await withApplications(serverUrl, openers, async (sides) => {
          for (const { name, operation } of plain) await measureAll(name, operation, sides);
        });
      }
      if (isEverything) {
        const openers = [openNestbox, openGlue].map((open) => (url) => open(proxy.through(url)));
        await withApplications(serverUrl, openers, (sides) => measureAll(EVERYTHING, 'place', sides));
      }
    }),
  );
}

async function measure({ name, side, call, counted, serverUrl, proxy }) {
  for (let i = 0; i < WARM_UP_CALLS; i++) await call(i);
  await sleep(SETTLE_MS);
  const trips = proxy.count();
  const statements = await countStatements(serverUrl, side.url);
  for (let i = 0; i < counted; i++) await call(i);
  await sleep(SETTLE_MS);
  const tripsPer = (proxy.count() - trips) / counted;
  const statementsPer = ((await countStatements(serverUrl, side.url)) - statements) / counted;
  return (
    `${caseOf(name)}, ${side.name}: ${statementsPer.toFixed(2)} in ${tripsPer.toFixed(2)} round trips ` +
    `(${counted} transactions).`
  );
}

function caseOf(name) {
  return `${PREFIX}, ${name}`;
}
