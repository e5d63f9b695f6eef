import { connectRedis } from '../driver.js';
import { TestServerError } from '../errors.js';
import { eventually } from '../eventually.js';
import { useContainers } from './containers.js';
import { findRedis, redisMajorVersion } from './redis-binaries.js';
import { ask, isLinked } from './ask-redis.js';
import { launchRedis, type TestRedis } from './test-redis.js';

/** How large a Redis Cluster is started. */
export interface StartRedisClusterOptions {
  /** Default: 3, which is the fewest that Redis Cluster works with. */
  masters?: number;
  /** Default: 0. */
  replicasPerMaster?: number;
  /**
   * Whether the whole cluster refuses when some slots have no master (Redis' own default). Default: false, so that
   * the slots of the other masters go on working.
   */
  requireFullCoverage?: boolean;
  /** After how many ms of silence a node counts as failed. Default: 2,000. */
  nodeTimeoutMs?: number;
  /** Further settings of every node, as in redis.conf. */
  settings?: Record<string, string | number>;
}

/** Where a client finds a node. */
export interface RedisClusterNode {
  host: string;
  port: number;
}

const SLOTS = 16_384;
const BUS_OFFSET = 10_000;

/** A Redis Cluster of its own for a test. Get one by {@link startRedisCluster}. */
export class TestRedisCluster implements AsyncDisposable {
  /** @internal */
  constructor(
    readonly masters: readonly TestRedis[],
    readonly replicas: readonly TestRedis[],
  ) {}

  /** All nodes, masters first, for `new Cluster(nodes)`. */
  get nodes(): RedisClusterNode[] {
    return this.servers.map(({ hostname, port }) => ({ host: hostname, port }));
  }

  /** Resolves when every node that runs says that the cluster is in order. */
  async ready(timeoutMs = 30_000): Promise<void> {
    const running = this.servers.filter(({ isRunning }) => isRunning);
    await Promise.all(
      running.map((server) => eventually(() => inOrder(server, running.length), { timeoutMs })),
    );
  }

  /** Stops all nodes. */
  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  /** Stops all nodes and removes their data. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()));
  }

  private get servers(): TestRedis[] {
    return [...this.masters, ...this.replicas];
  }
}

/**
 * Starts a Redis Cluster on free ports of 127.0.0.1 and waits until all nodes agree that it is in order. A node that
 * is stopped keeps its place in the cluster and takes it again when it is started; its data only with
 * `settings: { appendonly: 'yes' }`.
 *
 * @throws TestServerError as {@link startRedis} does, and when the binary is older than Redis 7
 */
export async function startRedisCluster({
  masters = 3,
  replicasPerMaster = 0,
  requireFullCoverage = false,
  nodeTimeoutMs = 2000,
  settings = {},
}: StartRedisClusterOptions = {}): Promise<TestRedisCluster> {
  if (!useContainers() && redisMajorVersion(await findRedis()) < 7)
    throw new TestServerError('A test cluster needs Redis 7 or Valkey.');
  const launched = await Promise.allSettled(
    Array.from({ length: masters * (1 + replicasPerMaster) }, () =>
      launchRedis(
        {
          settings: {
            'cluster-enabled': 'yes',
            // A replica is announced once it has received something, be it a ping.
            'repl-ping-replica-period': 1,
            'repl-diskless-sync-delay': 0,
            'cluster-config-file': 'nodes.conf',
            'cluster-node-timeout': nodeTimeoutMs,
            'cluster-require-full-coverage': requireFullCoverage ? 'yes' : 'no',
            ...settings,
          },
        },
        { portOffsets: [BUS_OFFSET], hasPeers: true },
      ),
    ),
  );
  const servers = launched.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const cluster = new TestRedisCluster(servers.slice(0, masters), servers.slice(masters));
  try {
    for (const result of launched) if (result.status === 'rejected') throw result.reason;
    await introduce(cluster);
    await cluster.ready();
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
  return cluster;
}

/** Gives the masters their slots, makes all nodes known to each other, and assigns the replicas. */
async function introduce({ masters, replicas }: TestRedisCluster): Promise<void> {
  const servers = [...masters, ...replicas];
  const clients = await Promise.all(servers.map(({ url }) => connectRedis(url)));
  try {
    await Promise.all(
      masters.map(async (_, i) => {
        const first = Math.floor((i * SLOTS) / masters.length);
        const last = Math.floor(((i + 1) * SLOTS) / masters.length) - 1;
        await clients[i]!.call('CLUSTER', 'ADDSLOTSRANGE', first, last);
        await clients[i]!.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
      }),
    );
    // Each is introduced to each, since waiting for gossip takes seconds.
    for (const client of clients) {
      for (const { hostname, port } of servers) await client.call('CLUSTER', 'MEET', hostname, port);
    }
    await Promise.all(servers.map((server) => eventually(() => knows(server, servers.length))));
    await Promise.all(
      replicas.map(async (_, i) => {
        const masterId = await clients[i % masters.length]!.call('CLUSTER', 'MYID');
        await clients[masters.length + i]!.call('CLUSTER', 'REPLICATE', String(masterId));
      }),
    );
    await Promise.all(replicas.map((replica) => eventually(() => isLinked(replica))));
    await Promise.all(servers.map((server) => eventually(() => lists(server, servers.length))));
  } finally {
    for (const client of clients) client.disconnect();
  }
}

async function inOrder(server: TestRedis, nodes: number): Promise<void> {
  const info = String(await ask(server, 'CLUSTER', 'INFO'));
  if (!info.includes('cluster_state:ok'))
    throw new Error(`Cluster not in order, says ${server.url}:\n${info}`);
  await knows(server, nodes);
}

/** Throws until the node has shaken hands with at least so many, itself included. */
async function knows(server: TestRedis, nodes: number): Promise<void> {
  const lines = String(await ask(server, 'CLUSTER', 'NODES'))
    .trim()
    .split('\n');
  const known = lines.filter((line) => !/handshake|noaddr/.test(line));
  if (known.length < nodes) throw new Error(`${server.url} knows ${known.length} of ${nodes} nodes.`);
}

/** Throws until clients that ask the node hear of that many nodes; replicas are listed once they have data. */
async function lists(server: TestRedis, nodes: number): Promise<void> {
  const ranges = (await ask(server, 'CLUSTER', 'SLOTS')) as unknown[][];
  const listed = ranges.flatMap(([, , ...members]) => members).length;
  if (listed < nodes) throw new Error(`${server.url} lists ${listed} of ${nodes} nodes.`);
}
