import { startServers } from '../lib/servers.mjs';
import { describeVersions } from '../lib/versions.mjs';
import { runEverything } from './everything.mjs';
import { runPlain } from './plain.mjs';
import { runStatements } from './statements.mjs';

const PACKAGES = [
  'postgres',
  'typeorm',
  'pg',
  '@event-driven-io/emmett-postgresql',
  '@keyv/postgres',
  '@dbos-inc/dbos-sdk',
];

const FULL = { rounds: 15, sliceMs: 800, counted: 500 };
const QUICK = { rounds: 3, sliceMs: 300, counted: 100 };

/**
 * The transaction that is shared with TypeORM: beside TypeORM's own with nothing but entities in it, and beside what
 * stands in for it where every store has a library of its own.
 */
export async function runSuite({ quick, only, log }) {
  const settings = quick ? QUICK : FULL;
  const servers = await startServers();
  const report = { cases: [], notes: [], failures: [], versions: await describeVersions(servers, PACKAGES) };
  const context = { serverUrl: servers.databaseUrl, settings, only, log, report };
  try {
    await runPlain(context);
    await runEverything(context);
    await runStatements(context);
  } finally {
    await servers.stop();
  }
  return report;
}
