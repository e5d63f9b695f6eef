import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A TCP proxy before a server, which loses connections as networks do. */
export interface Proxy {
  port: number;
  /** From now on, requests reach the server, but a connection is cut when the server replies. */
  cutOnReply(): void;
  /** Nothing goes through any more, and connections stay open. */
  silence(): void;
  /** Cuts all connections, and refuses new ones. */
  cut(): void;
  heal(): void;
  /** Where new connections lead from now on. */
  redirect(port: number): void;
  close(): Promise<void>;
}

export async function startProxy(port: number): Promise<Proxy> {
  let targetPort = port;
  let mode: 'pass' | 'cut' | 'silent' | 'refuse' = 'pass';
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    if (mode === 'refuse') {
      client.destroy();
      return;
    }
    const target = connect(targetPort, '127.0.0.1');
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        target.destroy();
      });
    }
    client.on('data', (data) => {
      if (mode !== 'silent') target.write(data);
    });
    target.on('data', (data) => {
      if (mode === 'cut') client.destroy();
      else if (mode === 'pass') client.write(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    cutOnReply: () => {
      mode = 'cut';
    },
    silence: () => {
      mode = 'silent';
    },
    cut: () => {
      mode = 'refuse';
      for (const socket of sockets) socket.destroy();
    },
    heal: () => {
      mode = 'pass';
    },
    redirect: (to) => {
      targetPort = to;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
