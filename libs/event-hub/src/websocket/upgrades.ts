import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocketServer } from 'ws';

/** A server of a gateway that is not bound to a port of its own. */
export interface GatewayServer extends Pick<WebSocketServer, 'handleUpgrade' | 'emit'> {
  path?: string;
}

/** Hands the upgrades of HTTP servers to the gateways of their paths. */
export class Upgrades {
  private readonly stops: (() => void)[] = [];

  /** @param gateways asked for at each upgrade */
  listen(httpServer: Server, gateways: () => readonly GatewayServer[]): void {
    const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const path = pathOf(request);
      const gateway = gateways().find((one) => one.path === path);
      if (gateway !== undefined) {
        gateway.handleUpgrade(request, socket, head, (client) => gateway.emit('connection', client, request));
      } else if (httpServer.listenerCount('upgrade') === 1) {
        // Another listener may know the path; where there is none, nobody else would answer.
        refuse(socket, 404);
      }
    };
    httpServer.on('upgrade', onUpgrade);
    this.stops.push(() => httpServer.off('upgrade', onUpgrade));
  }

  /** Takes the listeners off, since the application's HTTP server may live on. */
  stop(): void {
    for (const stop of this.stops.splice(0)) stop();
  }
}

function pathOf({ url = '/' }: IncomingMessage): string {
  const [path = '/'] = url.split('?', 1);
  return path;
}

function refuse(socket: Duplex, status: number): void {
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
