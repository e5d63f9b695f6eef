import { createServer, connect } from 'node:net';
import { once } from 'node:events';

/**
 * Runs `fn` with a proxy in front of a PostgreSQL server that counts how often a client has sent something and then
 * waited for an answer. What is sent together counts once.
 */
export async function withRoundTripProxy(serverUrl, fn) {
  const target = new URL(serverUrl);
  const sockets = new Set();
  let count = 0;
  const proxy = createServer((client) => {
    const server = connect({ host: target.hostname, port: Number(target.port || 5432) });
    let isWaiting = false;
    client.on('data', () => {
      if (!isWaiting) count++;
      isWaiting = true;
    });
    server.on('data', () => {
      isWaiting = false;
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => other.destroy());
      socket.on('close', () => sockets.delete(socket));
      socket.pipe(other);
    }
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  try {
    return await fn({
      /** The same address by way of the proxy. */
      through(url) {
        const own = new URL(url);
        own.hostname = '127.0.0.1';
        own.port = String(proxy.address().port);
        return own.href;
      },
      count: () => count,
    });
  } finally {
    for (const socket of sockets) socket.destroy();
    proxy.close();
  }
}
