import { connectRedis } from '../driver.js';
import type { TestRedis } from './test-redis.js';

/** Sends one command on a connection of its own. */
export async function ask(server: TestRedis, command: string, ...args: string[]): Promise<unknown> {
  const client = await connectRedis(server.url);
  try {
    return await client.call(command, ...args);
  } finally {
    client.disconnect();
  }
}

/** Throws until the replica receives what its master does. */
export async function isLinked(replica: TestRedis): Promise<void> {
  const info = String(await ask(replica, 'INFO', 'replication'));
  if (!info.includes('master_link_status:up'))
    throw new Error(`${replica.url} does not follow its master yet.`);
}
