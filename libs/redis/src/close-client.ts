import { setImmediate } from 'node:timers/promises';
import { isClusterClient, type RedisClient } from './driver.js';
import { withTimeout } from './with-timeout.js';

/** How long replies that are due may take when a client is closed, in ms. */
const DRAIN_TIMEOUT_MS = 1000;
/** ioredis destroys a socket that does not end within 2 s. */
const END_TIMEOUT_MS = 2500;

/** Closes a client once the commands that it was given before have been answered. Never rejects. */
export async function drainAndClose(client: RedisClient): Promise<void> {
  if (client.status === 'ready') await quietly(withTimeout('Closing', DRAIN_TIMEOUT_MS, drain(client)));
  await disconnect(client);
}

/** Disconnects a client at once. Commands under way are rejected. Never rejects. */
export async function disconnect(client: RedisClient): Promise<void> {
  // In other states, ioredis has no socket whose end it would report.
  const hasSocket = ['connecting', 'connect', 'ready'].includes(client.status);
  const ended = new Promise<void>((resolve) => {
    client.once('end', resolve);
  });
  client.disconnect();
  if (hasSocket) await quietly(withTimeout('Disconnecting', END_TIMEOUT_MS, ended));
}

/** A PING is answered after all that was sent before it. (QUIT would overtake commands that are being collected.) */
async function drain(client: RedisClient): Promise<void> {
  if (!isClusterClient(client)) {
    await client.ping();
    return;
  }
  await setImmediate();
  await Promise.all(client.nodes().map((node) => quietly(node.ping())));
}

async function quietly(promise: Promise<unknown>): Promise<void> {
  try {
    await promise;
  } catch {
    // Whoever does not answer any more need not be waited for.
  }
}
