import { startServers } from '../lib/servers.mjs';
import { describeVersions } from '../lib/versions.mjs';
import { runCatchUp } from './catch-up.mjs';
import { runLatency } from './latency.mjs';
import { runMemory } from './memory.mjs';
import { runMillion } from './million.mjs';
import { runOperations } from './operations.mjs';

const PACKAGES = ['postgres', 'pg', '@event-driven-io/emmett-postgresql', '@event-driven-io/pongo'];

const FULL = {
  rounds: 9,
  sliceMs: 700,
  catchUp: { rounds: 3, events: 50_000, emmettEvents: { reactor: 5_000, projector: 3_000 } },
  latency: { rounds: 3, events: 80 },
  streamed: 100_000,
  million: { events: 1_000_000, window: 50_000, rounds: 5 },
};
const QUICK = {
  rounds: 3,
  sliceMs: 300,
  catchUp: { rounds: 1, events: 10_000, emmettEvents: { reactor: 1_000, projector: 500 } },
  latency: { rounds: 1, events: 60 },
  streamed: 100_000,
  million: { events: 100_000, window: 20_000, rounds: 2 },
};

/**
 * The event store beside Emmett's for PostgreSQL: both on one server, everything at the defaults of each, in turns. And beside itself: a long log beside a short one.
 */
export async function runSuite({ quick, only, log }) {
  const settings = quick ? QUICK : FULL;
  const servers = await startServers();
  const report = { cases: [], notes: [], failures: [], versions: await describeVersions(servers, PACKAGES) };
  const context = { serverUrl: servers.databaseUrl, settings, only, log, report };
  try {
    await runOperations(context);
    await runCatchUp(context);
    await runLatency(context);
    await runMemory(context);
    await runMillion(context);
  } finally {
    await servers.stop();
  }
  return report;
}
