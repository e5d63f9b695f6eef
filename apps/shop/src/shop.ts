import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NestboxWsAdapter } from '@nestbox/event-hub';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { ShopConfig } from './config.js';
import { Readiness } from './health/readiness.js';
import { gate } from './http/gate.middleware.js';
import { jsonOnly } from './http/json-only.middleware.js';
import { identify } from './http/request.middleware.js';
import { describeApi } from './openapi/describe-api.js';
import { ShopLogger } from './shop-logger.js';
import { ShopModule } from './shop.module.js';

const BODY_LIMIT = '256kb';
/** More than the hub takes, so that it is the hub that says what is too much. */
const BROADCAST_LIMIT = '4mb';

/** A started shop. */
export interface Shop {
  port: number;
  /**
   * Takes no new connections, lets requests in flight finish, ends event streams, and closes all connections.
   * False when requests had to be cut off because the time was up.
   */
  stop(): Promise<boolean>;
}

/**
 * Starts the shop. The port is taken first, so that a second shop gives up before it touches anything, and so that
 * `GET /health/ready` answers (503) while the database is starting.
 *
 * @throws the first error that stands in the way, after closing what was opened
 */
export async function startShop(config: ShopConfig): Promise<Shop> {
  const logger = new Logger('Shop');
  const readiness = new Readiness();
  const app = await NestFactory.create<NestExpressApplication>(ShopModule.forRoot(config, readiness), {
    logger: new ShopLogger(config),
    bodyParser: false,
    abortOnError: false,
  });
  // Entity tags are versions, not hashes of what happened to be sent.
  app.disable('etag');
  app.useSecurityHeaders({
    // Whether there is https is for the proxy in front to say; without one, nothing of /docs would be found there.
    contentSecurityPolicy: { directives: { upgradeInsecureRequests: null } },
    strictTransportSecurity: config.production,
  });
  app.use(identify, gate(readiness), jsonOnly);
  app.useBodyParser('json', { limit: BROADCAST_LIMIT, strict: false, type: isBroadcast('application/json') });
  app.useBodyParser('raw', { limit: BROADCAST_LIMIT, type: isBroadcast('application/octet-stream') });
  app.useBodyParser('json', { limit: BODY_LIMIT, strict: false });

  describeApi(app);
  app.useWebSocketAdapter(new NestboxWsAdapter(app));

  const server: Server = app.getHttpServer();
  try {
    await listen(server, config);
    if (config.databaseUrl === undefined) {
      logger.log(`No DATABASE_URL: starting the embedded PostgreSQL, data in ${config.embeddedDataDir}`);
    }
    await app.init();
  } catch (error) {
    server.closeAllConnections();
    await app.close();
    throw error;
  }
  readiness.started();
  const { port } = server.address() as AddressInfo;
  logger.log(`The shop is open at http://${config.host ?? 'localhost'}:${port}`);

  return {
    port,
    async stop() {
      readiness.stopping();
      // A connection kept alive becomes idle when its last request is answered; the server waits for those too.
      const sweep = setInterval(() => server.closeIdleConnections(), 50);
      let inTime = true;
      const deadline = setTimeout(() => {
        inTime = false;
        logger.warn(`Requests were still running after ${config.shutdownTimeoutMs} ms; they are cut off.`);
        server.closeAllConnections();
      }, config.shutdownTimeoutMs);
      try {
        await app.close();
      } finally {
        clearInterval(sweep);
        clearTimeout(deadline);
      }
      return inTime;
    },
  };
}

/** Whether a body is one of that type for `POST /broadcast`. */
function isBroadcast(type: string) {
  return ({ url, headers }: IncomingMessage): boolean =>
    /^\/broadcast(\?|$)/.test(url ?? '') && headers['content-type']?.startsWith(type) === true;
}

/** Rejects with a sentence where the port cannot be had. */
async function listen(server: Server, { port, host }: ShopConfig): Promise<void> {
  server.listen({ port, host });
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new Error(
        `Port ${port} is already in use. Stop what listens there, or set PORT to another one.`,
        {
          cause: error,
        },
      );
    }
    if (code === 'EACCES') {
      throw new Error(`Port ${port} may not be used by this user. Set PORT to one above 1023.`, {
        cause: error,
      });
    }
    throw error;
  }
}
