import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { MemoryChannelStore } from '@nestbox/channels';
import { eventually, freePort } from '@nestbox/testing';
import { WebSocketGateway } from '@nestjs/websockets';
import { WebSocket } from 'ws';
import { WsApp, type WsAppOptions } from './support/ws-app.js';
import { MainGateway, OtherGateway } from './support/ws-gateways.js';

describe('NestboxWsAdapter', () => {
  const apps: WsApp[] = [];
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  async function start(adapter: WsAppOptions['adapter'] = {}, options: WsAppOptions = {}): Promise<WsApp> {
    const providers = [MainGateway, OtherGateway, ...(options.providers ?? [])];
    const app = await WsApp.start({ ...options, adapter, providers });
    apps.push(app);
    return app;
  }

  it('gives handlers the channel of the client, beside its socket and the message', async () => {
    const app = await start({ headers: ['User-Agent'] });
    const client = await app.connect('/ws?room=a&tag=x&tag=y', { headers: { 'user-agent': 'test' } });
    client.send('who', { n: 1 });
    await eventually(() => expect(client.messages).toHaveLength(1));
    const [id] = app.channels.localIds();
    expect(client.json).toEqual([
      {
        event: 'you',
        data: {
          id,
          name: '/ws',
          openingData: { room: 'a', tag: ['x', 'y'], headers: { 'user-agent': 'test' } },
          session: null,
          body: { n: 1 },
          same: true,
        },
      },
    ]);
    expect(app.app.get(MainGateway).connected).toEqual([id]);
    client.socket.close();
    await eventually(() => expect(app.app.get(MainGateway).disconnected).toEqual([id]));
    await eventually(async () => expect(await app.channels.store.count()).toBe(0));
  });

  it('leaves guards, pipes, filters, interceptors and answers of all kinds to Nest', async () => {
    const app = await start();
    const client = await app.connect('/ws');
    const friend = await app.connect('/ws?friend=yes');
    const exception = (message: string) =>
      expect.objectContaining({ event: 'exception', data: expect.objectContaining({ message }) });
    const answers = async (to: typeof client, event: string, data: unknown, expected: unknown[]) => {
      const before = to.messages.length;
      to.send(event, data);
      await eventually(() => expect(to.json.slice(before)).toEqual(expected));
    };
    await answers(client, 'secret', null, [exception('Forbidden resource')]);
    await answers(friend, 'secret', null, [{ event: 'secret', data: 42 }]);
    await answers(client, 'number', 7, [{ event: 'number', data: 7 }]);
    await answers(client, 'number', 'x', [exception('no number')]);
    await answers(client, 'double', 2, [{ event: 'doubled', data: [2, 2] }]);
    await answers(
      client,
      'many',
      null,
      [1, 2, 3].map((data) => ({ event: 'one', data })),
    );
    await answers(client, 'throw', null, [exception('as it is')]);
    // What cannot be answered, and what nobody can read, changes nothing for what comes next.
    client.send('circle');
    client.socket.send('{');
    client.send('unknown');
    await answers(client, 'number', 8, [{ event: 'number', data: 8 }]);
  });

  it('serves gateways on two paths and on ports of their own', async () => {
    const [withPath, without] = [await freePort(), await freePort()];
    @WebSocketGateway(withPath, { path: '/own' })
    class OwnPath extends OtherGateway {}
    @WebSocketGateway(without)
    class OwnPort extends OtherGateway {}
    const app = await start({}, { providers: [OwnPath, OwnPort] });
    for (const [path, port, name] of [
      ['/other', app.port, '/other'],
      ['/own', withPath, '/own'],
      ['/', without, '/'],
    ] as const) {
      const client = await app.connect(path, {}, port);
      client.send('who');
      await eventually(() => expect(client.json).toEqual([{ event: 'other', data: name }]));
    }
    expect(await app.client('/nowhere').refused).toBe(404);
    expect(await app.client('/nowhere', {}, withPath).refused).toBe(404);
  });

  it('does not disturb other listeners of the HTTP server', async () => {
    const app = await start();
    app.app.getHttpServer().on('upgrade', (request: { url: string }, socket: NodeJS.WritableStream) => {
      if (request.url === '/mine') socket.end('HTTP/1.1 418 Mine\r\nConnection: close\r\n\r\n');
    });
    expect(await app.client('/mine').refused).toBe(418);
    expect((await app.connect('/ws')).socket.readyState).toBe(WebSocket.OPEN);
  });

  it('lets messages wait until the channel is open', async () => {
    const store = new MemoryChannelStore();
    const add = store.addChannel.bind(store);
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    store.addChannel = async (channel) => {
      await opened;
      return add(channel);
    };
    const app = await start({}, { store });
    const client = await app.connect('/ws');
    for (let i = 0; i < 5; i++) client.send('number', i);
    client.socket.ping();
    // A round trip on another connection shows that the server has had the time.
    await fetch(`http://127.0.0.1:${app.port}/`);
    expect(app.app.get(MainGateway).connected).toEqual([]);
    open();
    await eventually(() => expect(client.messages).toHaveLength(5));
    expect(client.json).toEqual([0, 1, 2, 3, 4].map((data) => ({ event: 'number', data })));
    expect(app.app.get(MainGateway).connected).toHaveLength(1);
  });

  it('closes with 1013 when the channel cannot be opened', async () => {
    const store = new MemoryChannelStore();
    store.addChannel = () => Promise.reject(new Error('nobody there'));
    const app = await start({}, { store });
    expect(await (await app.connect('/ws')).closed).toEqual({ code: 1013, reason: 'try again later' });
    expect(app.app.get(MainGateway).connected).toEqual([]);
  });

  it('opens no handler for a client that is gone before its channel is open', async () => {
    const store = new MemoryChannelStore();
    const add = store.addChannel.bind(store);
    const app = await start({}, { store });
    let client: Awaited<ReturnType<WsApp['connect']>> | undefined;
    store.addChannel = async (channel) => {
      const owner = await add(channel);
      client!.socket.terminate();
      await client!.closed;
      return owner;
    };
    client = app.client('/ws');
    await client.closed;
    await eventually(async () => {
      expect(app.channels.localCount).toBe(0);
      expect(await store.count()).toBe(0);
    });
  });

  it('lets a newer connection take over an id', async () => {
    const app = await start({ channelId: (request) => request.url!.split('id=')[1] });
    const first = await app.connect('/ws?id=a');
    await eventually(() => expect(app.channels.get('a')).toBeDefined());
    const second = await app.connect('/ws?id=a');
    expect(await first.closed).toMatchObject({ code: 4000 });
    second.send('who');
    await eventually(() => expect(second.json).toMatchObject([{ data: { id: 'a' } }]));
    expect(app.channels.localCount).toBe(1);
  });

  it('carries bytes both ways, and messages of a topic, in order', async () => {
    const app = await start();
    const client = await app.connect('/ws');
    client.send('join', 't');
    await eventually(() => expect(client.messages).toHaveLength(1));
    const bytes = Buffer.from([0, 255, 128, 10, 13]);
    client.socket.send(bytes);
    await eventually(() => expect(app.app.get(MainGateway).binary).toEqual([bytes]));
    const [id] = app.channels.localIds();
    const big = Buffer.alloc(200_000, 7);
    await app.channels.send(id!, bytes, { binary: true });
    await app.channels.send(id!, big, { binary: true });
    await app.hub.publish('t', 'x'.repeat(300));
    await app.hub.publish('t', 'y'.repeat(70_000));
    await eventually(() => expect(client.messages).toHaveLength(5));
    expect(client.messages.slice(1)).toEqual([
      bytes,
      big,
      JSON.stringify({ event: 't', data: 'x'.repeat(300) }),
      JSON.stringify({ event: 't', data: 'y'.repeat(70_000) }),
    ]);
  });

  it('survives 500 connections that close at once, and half-open ones', async () => {
    const app = await start();
    const clients = await Promise.all(Array.from({ length: 500 }, () => app.connect('/ws')));
    await eventually(() => expect(app.channels.localCount).toBe(500));
    for (const { socket } of clients) socket.terminate();
    await eventually(async () => {
      expect(app.channels.localCount).toBe(0);
      expect(await app.channels.store.count()).toBe(0);
    });
    const half = connectTcp({ port: app.port, host: '127.0.0.1', allowHalfOpen: true });
    half.on('error', () => undefined);
    half.write(
      `GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${app.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`,
    );
    await once(half, 'data');
    await eventually(() => expect(app.channels.localCount).toBe(1));
    half.end();
    await eventually(() => expect(app.channels.localCount).toBe(0));
    half.destroy();
  });

  it('closes sockets with 1001 on shutdown, also those that do not answer, and refuses new ones', async () => {
    let release: (() => void) | undefined;
    const app = await start({
      closeTimeout: 200,
      authenticate: (request) =>
        request.url === '/ws?slow'
          ? new Promise((resolve) => {
              release = () => resolve(null);
            })
          : null,
    });
    const client = await app.connect('/ws');
    const stuck = await app.connect('/ws');
    stuck.socket.pause();
    const waiting = app.client('/ws?slow');
    await eventually(() => expect(release).toBeDefined());
    await eventually(() => expect(app.channels.localCount).toBe(2));
    const closing = app.app.close();
    expect(await client.closed).toEqual({ code: 1001, reason: 'going away' });
    expect(await waiting.refused).toBe(503);
    await closing;
    expect(app.app.getHttpServer().listening).toBe(false);
    expect(app.channels.localCount).toBe(0);
    release!();
  });

  it('starts only with a ChannelModule, and with options that make sense', async () => {
    await expect(WsApp.start({ adapter: { channels: 'live' }, providers: [MainGateway] })).rejects.toThrow(
      "channels: there is no such ChannelModule. Import ChannelModule.forRoot({ store: …, name: 'live' })",
    );
    for (const [options, problem] of [
      [{ maxPayload: 0 }, 'maxPayload: must be'],
      [{ maxBufferedBytes: 1.5 }, 'maxBufferedBytes: must be'],
      [{ maxConnections: -1 }, 'maxConnections: must be'],
      [{ heartbeat: { interval: '1s', timeout: '2s' } }, 'heartbeat.timeout: must be at most'],
      [{ heartbeat: { interval: 0 } }, 'heartbeat.interval: '],
      [{ closeTimeout: 'soon' }, 'closeTimeout: '],
      [{ origins: [1] }, 'origins[0]: must be'],
    ] as const) {
      await expect(WsApp.start({ adapter: options as never, providers: [MainGateway] })).rejects.toThrow(
        problem,
      );
    }
  });
});
