import type { Redis } from 'ioredis';
import type { Sql } from 'postgres';
import { TestServerError } from './errors.js';

/** One connection for administration, through postgres.js. End it. */
export async function connectPostgres(url: string, connectTimeoutS = 10): Promise<Sql> {
  const { default: postgres } = await load('postgres', () => import('postgres'));
  return postgres(url, { max: 1, connect_timeout: connectTimeoutS, onnotice: () => {}, fetch_types: false });
}

/** One connection for administration, through ioredis, that fails instead of waiting. Disconnect it. */
export async function connectRedis(url: string): Promise<Redis> {
  const { Redis: IoRedis } = await load('ioredis', () => import('ioredis'));
  const client = new IoRedis(url, {
    lazyConnect: true,
    connectTimeout: 1000,
    // Else ioredis keeps the process alive for two seconds.
    disconnectTimeout: 100,
    commandTimeout: 5000,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  // The failure is reported by the command that waits for the connection.
  client.on('error', () => {});
  return client;
}

/** Imports a package that need not be installed. */
export async function load<T>(name: string, importIt: () => Promise<T>): Promise<T> {
  try {
    return await importIt();
  } catch (cause) {
    throw new TestServerError(`The package ${name} is needed for this. Run 'npm install ${name}'.`, {
      cause,
    });
  }
}
