import { createServer } from 'node:net';
import { TestServerError } from './errors.js';

/**
 * Ports below those that kernels hand out for outgoing connections (from 32,768 on Linux), so that a server that is
 * stopped and started again finds its port still free.
 */
const LOWEST = 12_000;
const HIGHEST = 22_000;

const given = new Set<number>();

/**
 * A TCP port on 127.0.0.1 that nobody listens on now and that this process did not give out before. Another
 * process may still be quicker; start your server at once.
 *
 * @param alsoFree further ports that must be free, as offsets: Redis Cluster wants `[10_000]` for its bus
 */
export async function freePort(alsoFree: readonly number[] = []): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (given.has(port)) continue;
    const all = [port, ...alsoFree.map((offset) => port + offset)];
    if ((await Promise.all(all.map(canListen))).every(Boolean)) {
      given.add(port);
      return port;
    }
  }
  throw new TestServerError(`No free port was found between ${LOWEST} and ${HIGHEST}.`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
