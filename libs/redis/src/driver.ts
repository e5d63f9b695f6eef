import type { Cluster, Redis as SingleClient } from 'ioredis';
import { createRequire } from 'node:module';
import { MissingDriverError } from './redis.errors.js';

/** An ioredis client of a single server, or of a master found through sentinels. */
export type { SingleClient };
/** An ioredis client of a cluster. */
export type ClusterClient = Cluster;
/** Any ioredis client. */
export type RedisClient = SingleClient | ClusterClient;

export type Driver = typeof import('ioredis');

/**
 * Loads ioredis when the first client is created, so that an application which passes its own client, or uses no
 * Redis at all, need not install it. Loading is synchronous because `Redis.client` is a getter.
 */
export function loadDriver(): Driver {
  try {
    return createRequire(import.meta.url)('ioredis') as Driver;
  } catch (error) {
    throw new MissingDriverError('ioredis', 'npm install ioredis', { cause: error });
  }
}

/** Whether a value is an ioredis client, told by the methods that we call. */
export function isClient(value: unknown): value is RedisClient {
  if (typeof value !== 'object' || value === null) return false;
  return ['sendCommand', 'duplicate', 'disconnect', 'evalsha'].every(
    (method) => typeof Reflect.get(value, method) === 'function',
  );
}

export function isClusterClient(client: RedisClient): client is ClusterClient {
  return client.isCluster;
}
