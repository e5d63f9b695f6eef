import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '@nestbox/testing';
import { ask } from '../event-store/databases.mjs';
import { callersText, inTurns, keepGoing, withSides } from './sides.mjs';
import { runOnce } from './workload.mjs';

const CASES = [
  { callers: 1, target: 5 },
  { callers: 100, target: 0.5 },
].map((c) => ({ ...c, name: `statements per 3-step run, ${callersText(c.callers)}` }));

const WARM_UP_RUNS = 3;
/** For what a side still has to write after it has said the result. */
const SETTLE_MS = 200;

/** As in lib/servers.mjs, and with the extension that counts. */
const SETTINGS = {
  fsync: 'on',
  full_page_writes: 'on',
  shared_buffers: '128MB',
  max_connections: 100,
  shared_preload_libraries: 'pg_stat_statements',
};

/**
 * Statements that the server got per run, `begin` and `commit` included, and what a side asks in the background as well.
 * Counted by pg_stat_statements, which counts what a function does inside as its one call.
 */
export async function runStatements({ settings: { statementsMs }, only, log, report }) {
  const cases = CASES.filter(({ name }) => name.includes(only));
  if (cases.length === 0) return;
  // A server of its own, since the extension must be loaded at its start, and costs a little.
  const server = await startPostgres({ settings: SETTINGS });
  try {
    await ask(server.url, 'create extension pg_stat_statements');
    for (const { name, callers, target } of cases) {
      log(`${name} …`);
      await withSides(server.url, { concurrency: callers }, async (sides) => {
        const notes = new Map(sides.map((side) => [side, '']));
        await inTurns(sides, 1, async (side, round) => {
          if (round === 0) for (let i = 0; i < WARM_UP_RUNS; i++) await runOnce(side, i);
          else notes.set(side, await measure(server.url, side, { name, callers, target, ms: statementsMs }));
        });
        report.notes.push(...notes.values());
      });
    }
  } finally {
    await server[Symbol.asyncDispose]();
  }
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

/** Asked in another database, so that asking does not count. */
async function countStatements(serverUrl, sideUrl) {
  const database = new URL(sideUrl).pathname.slice(1);
  const { calls } = await ask(
    serverUrl,
    `select coalesce(sum(s.calls), 0) as calls
       from pg_stat_statements s join pg_database d on d.oid = s.dbid
      where d.datname = '${database}'`,
  );
  return Number(calls);
}
