import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { ChannelModule, ChannelService, MemoryChannelStore } from '@nestbox/channels';
import {
  EventHubModule,
  EventHubService,
  NestboxWsAdapter,
  type NestboxWsAdapterOptions,
} from '@nestbox/event-hub';
import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { WebSocket, type ClientOptions } from 'ws';

export interface WsAppOptions extends ModuleMetadata {
  adapter?: NestboxWsAdapterOptions;
  /** Where the channels are. Default: in memory. */
  store?: MemoryChannelStore | 'redis';
  keyPrefix?: string;
}

/** An application on a real port, with its channels in memory, and clients of it. */
export class WsApp {
  readonly clients: TestClient[] = [];

  private constructor(
    readonly app: INestApplication,
    readonly port: number,
    readonly channels: ChannelService,
    readonly hub: EventHubService,
  ) {}

  static async start({
    adapter,
    store = new MemoryChannelStore(),
    keyPrefix,
    imports = [],
    ...metadata
  }: WsAppOptions): Promise<WsApp> {
    const topics = { 'kept.**': { history: { size: 100, ttl: '1m' } } } as const;
    const moduleRef = await Test.createTestingModule({
      imports: [
        ...imports,
        ChannelModule.forRoot(typeof store === 'string' ? { store, keyPrefix } : { store }),
        EventHubModule.forRoot(
          store === 'redis' ? { store, keyPrefix, topics } : { store: 'memory', topics },
        ),
      ],
      ...metadata,
    }).compile();
    const app = moduleRef.createNestApplication({ logger: false });
    app.useWebSocketAdapter(new NestboxWsAdapter(app, adapter));
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    return new WsApp(app, port, app.get(ChannelService), app.get(EventHubService));
  }

  client(path = '/ws', options: ClientOptions = {}, port = this.port): TestClient {
    const client = new TestClient(new WebSocket(`ws://127.0.0.1:${port}${path}`, options));
    this.clients.push(client);
    return client;
  }

  async connect(path?: string, options?: ClientOptions, port?: number): Promise<TestClient> {
    const client = this.client(path, options, port);
    await client.opened;
    return client;
  }

  async close(): Promise<void> {
    for (const { socket } of this.clients) socket.terminate();
    await this.app.close();
  }
}

/** A WebSocket, and what came through it. */
export class TestClient {
  readonly messages: (string | Buffer)[] = [];
  readonly opened: Promise<unknown>;
  /** Resolves with the code. */
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Resolves with the status of a refusal. */
  readonly refused: Promise<number>;

  constructor(readonly socket: WebSocket) {
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer, isBinary) => this.messages.push(isBinary ? data : data.toString()));
    this.opened = once(socket, 'open');
    this.opened.catch(() => undefined);
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.refused = new Promise((resolve) => {
      socket.on('unexpected-response', (request, response) => {
        resolve(response.statusCode ?? 0);
        request.destroy();
      });
    });
  }

  get json(): unknown[] {
    return this.messages.map((message) => JSON.parse(message.toString()) as unknown);
  }

  send(event: string, data?: unknown): void {
    this.socket.send(JSON.stringify({ event, data }));
  }
}
