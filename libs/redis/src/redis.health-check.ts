import { isClusterClient, type ClusterClient, type SingleClient } from './driver.js';
import type { Redis } from './redis.js';
import { RedisUnavailableError } from './redis.errors.js';
import { withTimeout } from './with-timeout.js';

/** What was found out about a Redis that answers. */
export interface RedisHealth {
  /** What limps, if something does. */
  problem?: string;
  figures: {
    mode: Redis['mode'];
    /** How long a round trip took; on a cluster, to the slowest master. */
    latencyMs: number;
    /** Unless it may not be asked for. */
    role?: 'master' | 'replica';
    /** On a cluster. */
    masters?: number;
    slotsServed?: number;
    unreachable?: string[];
  };
}

const SLOTS = 16_384;

/**
 * Asks Redis how it is.
 *
 * @throws when it does not answer in time, or when a cluster says that it is down
 */
export function checkHealth(redis: Redis, timeoutMs: number): Promise<RedisHealth> {
  const { client } = redis;
  const check = isClusterClient(client) ? checkCluster(redis, client, timeoutMs) : checkServer(redis, client);
  return withTimeout(`Redis (${redis.server})`, timeoutMs, check);
}

async function checkServer(redis: Redis, client: SingleClient): Promise<RedisHealth> {
  const start = performance.now();
  await client.ping();
  const latencyMs = round(performance.now() - start);
  const role = await roleOf(client);
  const figures = { mode: redis.mode, latencyMs, ...(role && { role }) };
  return role === 'replica' ? { problem: 'is a replica, which takes no writes', figures } : { figures };
}

async function roleOf(client: SingleClient): Promise<'master' | 'replica' | undefined> {
  let info: string;
  try {
    info = await client.info('replication');
  } catch {
    // Users may be forbidden to ask; the round trip tells whether Redis answers.
    return undefined;
  }
  const role = /^role:(\w+)/m.exec(info)?.[1];
  return role === undefined ? undefined : role === 'master' ? 'master' : 'replica';
}

async function checkCluster(redis: Redis, client: ClusterClient, timeoutMs: number): Promise<RedisHealth> {
  const start = performance.now();
  await redis.masters();
  if (missingMasters(client).length > 0) await refresh(client, timeoutMs * 0.3);
  const unreachable = missingMasters(client);
  const leftMs = timeoutMs - (performance.now() - start);
  // A little less than is left, so that one master that hangs does not make the whole check fail.
  const answers = await Promise.all(client.nodes('master').map((master) => ask(master, leftMs * 0.9)));
  const reports = answers.filter((answer) => typeof answer !== 'string');
  unreachable.push(...answers.filter((answer) => typeof answer === 'string'));
  if (reports.length === 0) {
    throw new RedisUnavailableError(
      redis.server,
      `has no master that answers (${unreachable.join(', ')})`,
      false,
    );
  }
  if (!reports.some(({ isOk }) => isOk)) {
    throw new RedisUnavailableError(redis.server, 'says that its state is "fail"', false);
  }
  const slotsServed = Math.min(...reports.map((report) => report.slotsServed));
  const figures = {
    mode: 'cluster' as const,
    latencyMs: round(Math.max(...reports.map((report) => report.latencyMs))),
    masters: mastersWithSlots(client).size,
    slotsServed,
    unreachable,
  };
  if (unreachable.length > 0) return { problem: `cannot reach ${unreachable.join(', ')}`, figures };
  if (slotsServed < SLOTS) return { problem: `serves only ${slotsServed} of ${SLOTS} slots`, figures };
  return { figures };
}

/** The addresses of the masters, as the cluster last told them. */
function mastersWithSlots(client: ClusterClient): Set<string> {
  return new Set(client.slots.flatMap(([master]) => master ?? []));
}

/** Those that ioredis has dropped since it lost the connection to them. */
function missingMasters(client: ClusterClient): string[] {
  const connected = new Set(client.nodes('master').map(addressOf));
  return [...mastersWithSlots(client)].filter((address) => !connected.has(address));
}

/** Makes ioredis look for nodes that it has dropped; else it does so only when a command is meant for one. */
async function refresh(client: ClusterClient, timeoutMs: number): Promise<void> {
  const refreshed = new Promise<void>((resolve) => client.refreshSlotsCache(() => resolve()));
  try {
    await withTimeout('CLUSTER SLOTS', timeoutMs, refreshed);
  } catch {
    // The nodes that are still missing are reported.
  }
}

interface NodeReport {
  isOk: boolean;
  slotsServed: number;
  latencyMs: number;
}

/** What a node says about the cluster, or its address when it does not answer. */
async function ask(node: SingleClient, timeoutMs: number): Promise<NodeReport | string> {
  const start = performance.now();
  try {
    const info = await withTimeout('CLUSTER INFO', timeoutMs, node.cluster('INFO'));
    return {
      isOk: /^cluster_state:ok/m.test(info),
      slotsServed: Number(/^cluster_slots_ok:(\d+)/m.exec(info)?.[1] ?? 0),
      latencyMs: performance.now() - start,
    };
  } catch {
    return addressOf(node);
  }
}

function addressOf({ options: { host, port } }: SingleClient): string {
  return `${host}:${port}`;
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
