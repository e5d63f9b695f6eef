import { interleave } from '../lib/interleave.mjs';
import { startServers } from '../lib/servers.mjs';
import { describeVersions } from '../lib/versions.mjs';
import { openPostgresSides, openRedisSides } from './store-sides.mjs';

const OPERATIONS = ['connect', 'set session', 'look up', 'come and go', 'join and leave', 'who is there'];
const FULL = { rounds: 11, sliceMs: 600 };
const QUICK = { rounds: 3, sliceMs: 250 };

/** Store operations beside Pikku's stores, 50 callers. */
export async function runSuite({ quick, only, log }) {
  const { rounds, sliceMs } = quick ? QUICK : FULL;
  const servers = await startServers();
  const peers = ['postgres', 'ioredis', '@pikku/pg', '@pikku/redis'];
  const report = { cases: [], notes: [], failures: [], versions: await describeVersions(servers, peers) };
  try {
    for (const [store, open, url, targets] of [
      ['postgres', openPostgresSides, servers.databaseUrl, { '@pikku/pg': 3 }],
      ['redis', openRedisSides, servers.redisUrl, { '@pikku/redis': 1.2 }],
    ]) {
      const operations = OPERATIONS.filter((operation) => nameOf(store, operation).includes(only));
      if (operations.length === 0) continue;
      const sides = await open(url);
      for (const operation of operations) {
        const name = nameOf(store, operation);
        log(`${name} …`);
        const results = await interleave({
          sides: sides.map((side) => ({ name: side.name, operation: side[operation] })),
          callers: 50,
          rounds,
          sliceMs,
        });
        report.cases.push({ name, unit: 'ops/s', sides: results, targets });
      }
      for (const side of sides) await side.close();
    }
  } finally {
    await servers.stop();
  }
  return report;
}

function nameOf(store, operation) {
  return `${store} ${operation}, 50 callers`;
}
