import { connect, type Socket } from 'node:net';

/** Where a server is: a host and port, or a Unix socket. */
export interface Place {
  host: string;
  port: number;
  path?: string | undefined;
}

/**
 * Opens a socket.
 *
 * @throws the system's error, or one with the code CONNECT_TIMEOUT
 */
export function openSocket({ host, port, path }: Place, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path === undefined ? { host, port, noDelay: true } : { path });
    const timer = setTimeout(() => {
      const where = path ?? `${host}:${port}`;
      fail(Object.assign(new Error(`connect timed out ${where}`), { code: 'CONNECT_TIMEOUT' }));
    }, timeoutMs);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    socket.once('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      // postgres.js reads from here which name the server's certificate must have.
      resolve(Object.assign(socket, { host, port }));
    });
  });
}
