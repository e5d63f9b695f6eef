import { startServers } from '../lib/servers.mjs';
import { median, quantile } from '../lib/statistics.mjs';
import { describeVersions } from '../lib/versions.mjs';
import { Child } from './processes.mjs';

const PROCESSES = 2;
const SOCKETS = 1000;
/** So few are all on the process that does not publish, to see what the way between processes takes. */
const REMOTE_SOCKETS = 10;
const FULL = { rounds: 9, burst: 300, trickle: 2000 };
const QUICK = { rounds: 3, burst: 100, trickle: 200 };

const SIDES = {
  nestbox: { script: 'nestbox-server.mjs', protocol: 'nestbox', env: { STORE: 'redis' } },
  'nestbox on postgres': { script: 'nestbox-server.mjs', protocol: 'nestbox', env: { STORE: 'postgres' } },
  'socket.io': { script: 'socketio-server.mjs', protocol: 'socket.io', env: {} },
};

/** What p50 may be, in ms. */
const LATENCY_TARGETS = { nestbox: 2, 'nestbox on postgres': 8 };

/**
 * Publishing to sockets over two processes, beside socket.io with its Redis adapter. All sides are up all the time, and
 * take turns.
 */
export async function runSuite({ quick, only, log }) {
  const { rounds, burst, trickle } = quick ? QUICK : FULL;
  const servers = await startServers();
  const packages = ['socket.io', '@socket.io/redis-adapter', 'ws', 'ioredis', 'postgres'];
  const report = { cases: [], notes: [], failures: [], versions: await describeVersions(servers, packages) };
  try {
    if ('throughput'.includes(only)) {
      await withSides(servers, SOCKETS, async (sides) => {
        log(`${SOCKETS} sockets over ${PROCESSES} processes …`);
        report.cases.push(await measureThroughput(sides, { rounds, burst }));
      });
    }
    if ('latency'.includes(only)) {
      for (const sockets of [REMOTE_SOCKETS, SOCKETS]) {
        await withSides(servers, sockets, async (sides) => {
          log(`latency to ${sockets} sockets …`);
          await measureLatency(sides, sockets, { rounds, trickle }, report);
        });
      }
    }
  } finally {
    await servers.stop();
  }
  return report;
}

async function withSides({ databaseUrl, redisUrl }, sockets, fn) {
  const sides = [];
  try {
    for (const [name, { script, protocol, env }] of Object.entries(SIDES)) {
      const own = { ...env, DATABASE_URL: databaseUrl, REDIS_URL: redisUrl };
      const instances = Array.from({ length: PROCESSES }, () => new Child(script, own));
      const client = new Child('client-process.mjs');
      sides.push({ name, instances, client });
      const ports = [];
      for (const instance of instances) ports.push((await instance.next('port')).port);
      const used = sockets === REMOTE_SOCKETS ? ports.slice(1) : ports;
      await client.ask({ open: protocol, ports: used, count: sockets }, 'opened');
    }
    await fn(sides);
  } finally {
    for (const { instances, client } of sides) {
      await client.stop();
      for (const instance of instances) await instance.stop();
    }
  }
}

/** Messages delivered per second when one process publishes as fast as it can. */
async function measureThroughput(sides, { rounds, burst }) {
  const rates = new Map(sides.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < sides.length; i++) {
      const { name, instances, client } = sides[(round + i) % sides.length];
      await client.ask({ expect: burst * SOCKETS }, 'expecting');
      const start = performance.now();
      instances[round % PROCESSES].process.send({ burst });
      await client.next('done');
      if (round > 0) rates.get(name).push((burst * SOCKETS * 1000) / (performance.now() - start));
      await instances[round % PROCESSES].next('published');
    }
  }
  const ours = rates.get('nestbox');
  return {
    name: `messages delivered to ${SOCKETS} sockets over ${PROCESSES} processes`,
    unit: 'messages/s',
    targets: { 'socket.io': 1.2 },
    sides: [...rates].map(([side, all]) => ({
      side,
      median: median(all),
      low: quantile(all, 0.25),
      high: quantile(all, 0.75),
      ratio: median(ours.map((rate, round) => rate / all[round])),
    })),
  };
}

/** From the call of publish in one process to the message at the sockets. */
async function measureLatency(sides, sockets, { rounds, trickle }, report) {
  const isRemote = sockets === REMOTE_SOCKETS;
  const intervalMs = isRemote ? 10 : 100;
  const samples = new Map(sides.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < sides.length; i++) {
      const { name, instances, client } = sides[(round + i) % sides.length];
      const count = Math.ceil((trickle * 10) / intervalMs / rounds);
      const publisher = instances[isRemote ? 0 : round % PROCESSES];
      await client.ask({ expect: count * sockets, latency: true }, 'expecting');
      publisher.process.send({ trickle: count, intervalMs });
      const { latencies } = await client.next('done');
      await publisher.next('published');
      if (round > 0) samples.get(name).push(...latencies);
    }
  }
  for (const [name, all] of samples) {
    const [p50, p99] = [quantile(all, 0.5), quantile(all, 0.99)];
    const target = isRemote ? LATENCY_TARGETS[name] : undefined;
    const verdict =
      target === undefined ? '' : `; target p50 <= ${target} ms ${p50 <= target ? 'met' : 'MISSED'}`;
    report.notes.push(
      `Latency, ${1000 / intervalMs} publishes/s to ${sockets} sockets${isRemote ? ' of the other process' : ''}, ${name}: ` +
        `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms (${all.length.toLocaleString('en-US')} deliveries)${verdict}.`,
    );
  }
}
