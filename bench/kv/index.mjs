import { interleave } from '../lib/interleave.mjs';
import { startServers } from '../lib/servers.mjs';
import { describeVersions } from '../lib/versions.mjs';
import { measureMemory } from './memory.mjs';
import { openPostgresSides } from './postgres-sides.mjs';
import { openRedisSides } from './redis-sides.mjs';
import { fill, findDifferences } from './workload.mjs';

const CASES = [
  { store: 'postgres', operation: 'set', callers: 50, targets: { keyv: 5 } },
  { store: 'postgres', operation: 'get', callers: 50, targets: { keyv: 4 } },
  // Within 15 % of raw postgres.js: the same work may take 1.15 times as long.
  { store: 'postgres', operation: 'set', callers: 1, targets: { 'postgres.js': 0.87 } },
  { store: 'postgres', operation: 'get', callers: 1, targets: { 'postgres.js': 0.87 } },
  { store: 'redis', operation: 'set', callers: 50, targets: { keyv: 1 } },
  { store: 'redis', operation: 'get', callers: 50, targets: { keyv: 1.2, ioredis: 0.9 } },
  { store: 'redis', operation: 'set', callers: 1, targets: {} },
  { store: 'redis', operation: 'get', callers: 1, targets: {} },
].map((c) => ({ ...c, name: `${c.store} ${c.operation}, ${c.callers} caller${c.callers === 1 ? '' : 's'}` }));

const PACKAGES = ['postgres', 'ioredis', 'keyv', '@keyv/postgres', '@keyv/redis'];
const FULL = { rounds: 15, sliceMs: 800, memoryOperations: 1_000_000 };
const QUICK = { rounds: 5, sliceMs: 300, memoryOperations: 100_000 };

/** Growth of the heap that is still noise: what the last half of the run may add. */
const FLAT_BYTES = 2 * 2 ** 20;

export async function runSuite({ quick, only, log }) {
  const { rounds, sliceMs, memoryOperations } = quick ? QUICK : FULL;
  const servers = await startServers();
  const report = { cases: [], notes: [], failures: [], versions: await describeVersions(servers, PACKAGES) };
  try {
    for (const [store, open, url] of [
      ['postgres', openPostgresSides, servers.databaseUrl],
      ['redis', openRedisSides, servers.redisUrl],
    ]) {
      const cases = CASES.filter((c) => c.store === store && c.name.includes(only));
      if (cases.length === 0) continue;
      const sides = await open(url);
      for (const side of sides) await fill(side);
      for (const { name, operation, callers, targets } of cases) {
        log(`${name} …`);
        const results = await interleave({
          sides: sides.map((side) => ({ name: side.name, operation: side[operation] })),
          callers,
          rounds,
          sliceMs,
        });
        report.cases.push({ name, unit: 'ops/s', sides: results, targets });
      }
      for (const side of sides) {
        const wrong = await findDifferences(side);
        if (wrong.length > 0) {
          report.failures.push(
            `${store}: ${side.name} holds other data under ${wrong.length} keys, such as ${wrong[0]}`,
          );
        }
        await side.close();
      }
    }
    if ('memory'.includes(only)) await checkMemory(servers, memoryOperations, report, log);
  } finally {
    await servers.stop();
  }
  return report;
}

async function checkMemory(servers, operations, report, log) {
  log(`memory over ${operations.toLocaleString('en-US')} operations …`);
  const heap = await measureMemory(servers.databaseUrl, operations);
  const growth = heap.at(-1) - heap[4];
  const text = heap.map((bytes) => (bytes / 2 ** 20).toFixed(1)).join(', ');
  report.notes.push(
    `Heap after each tenth of ${operations.toLocaleString('en-US')} operations (half set, half get), in MiB: ${text}.`,
  );
  if (growth > FLAT_BYTES)
    report.failures.push(`The heap grew by ${growth} bytes in the second half of the memory run.`);
}
