import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { ChannelService, MemoryBackplane, MemoryChannelStore, type ChannelStore } from '@nestbox/channels';
import {
  EventHubService,
  MemoryEventHubStore,
  NestboxWsAdapter,
  type NestboxWsAdapterOptions,
} from '@nestbox/event-hub';
import {
  Injectable,
  type BeforeApplicationShutdown,
  type INestApplication,
  type ModuleMetadata,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { WebSocket, type ClientOptions } from 'ws';

/** Ends what the modules would end, in the same hooks. */
@Injectable()
class Ending implements BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    private readonly channels: ChannelService,
    private readonly hub: EventHubService,
  ) {}

  async beforeApplicationShutdown(): Promise<void> {
    await this.channels.drain();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.hub.close();
    await this.channels.close();
  }
}

export interface WsAppOptions extends ModuleMetadata {
  adapter?: NestboxWsAdapterOptions;
  store?: ChannelStore;
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

  static async start({ adapter, store, providers = [], ...metadata }: WsAppOptions): Promise<WsApp> {
    const channelStore = store ?? new MemoryChannelStore();
    const channels = new ChannelService({ store: channelStore, backplane: new MemoryBackplane() });
    const hub = new EventHubService({
      store: new MemoryEventHubStore(),
      backplane: new MemoryBackplane(),
      channels,
      topics: { 'kept.**': { history: { size: 100, ttl: '1m' } } },
    });
    const moduleRef = await Test.createTestingModule({
      providers: [
        { provide: ChannelService, useValue: channels },
        { provide: EventHubService, useValue: hub },
        Ending,
        ...providers,
      ],
      ...metadata,
    }).compile();
    const app = moduleRef.createNestApplication({ logger: false });
    app.useWebSocketAdapter(new NestboxWsAdapter(app, adapter));
    await app.listen(0, '127.0.0.1');
    const { port } = app.getHttpServer().address() as AddressInfo;
    return new WsApp(app, port, channels, hub);
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
