import { startServers } from '../lib/servers.mjs';
import { describeVersions } from '../lib/versions.mjs';
import { runBursts } from './bursts.mjs';
import { runClaims } from './claims.mjs';
import { runEnqueue } from './enqueue.mjs';
import { runRecovery } from './recovery.mjs';
import { runStatements } from './statements.mjs';
import { runThroughput } from './throughput.mjs';

const PACKAGES = ['postgres', 'pg', '@dbos-inc/dbos-sdk', 'openworkflow'];

const FULL = {
  rounds: 7,
  // OpenWorkflow looks for a result once a second.
  sliceMs: 3_000,
  enqueueMs: 1_000,
  burst: { rounds: 5, runs: 1_000 },
  statementsMs: 10_000,
  recovery: { rounds: 3 },
  claims: { finished: 1_000_000, parked: 100_000, rounds: 30, sliceMs: 700 },
};
const QUICK = {
  rounds: 2,
  sliceMs: 1_000,
  enqueueMs: 300,
  burst: { rounds: 1, runs: 200 },
  statementsMs: 1_500,
  recovery: { rounds: 1 },
  claims: { finished: 100_000, parked: 10_000, rounds: 10, sliceMs: 300 },
};

/** The workflows beside DBOS and OpenWorkflow: all on one server, each set up as its documentation says, in turns. */
export async function runSuite({ quick, only, log }) {
  const settings = quick ? QUICK : FULL;
  const servers = await startServers();
  const report = { cases: [], notes: [], failures: [], versions: await describeVersions(servers, PACKAGES) };
  const context = { serverUrl: servers.databaseUrl, settings, only, log, report };
  try {
    await runThroughput(context);
    await runBursts(context);
    await runEnqueue(context);
    await runStatements(context);
    await runRecovery(context);
    await runClaims(context);
  } finally {
    await servers.stop();
  }
  return report;
}
