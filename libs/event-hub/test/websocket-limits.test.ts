import { MemoryChannelStore } from '@nestbox/channels';
import type { NestboxWsAdapterOptions } from '@nestbox/event-hub';
import { RedisModule } from '@nestbox/redis';
import { eventually, testRedis } from '@nestbox/testing';
import { jest } from '@jest/globals';
import { ForbiddenException, Logger } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { Handshake } from '../src/websocket/handshake.js';
import { WsApp, type WsAppOptions } from './support/ws-app.js';
import { MainGateway } from './support/ws-gateways.js';

describe('Whom NestboxWsAdapter lets in, and how much', () => {
  const apps: WsApp[] = [];
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  async function start(adapter: NestboxWsAdapterOptions, options: WsAppOptions = {}): Promise<WsApp> {
    const app = await WsApp.start({ ...options, adapter, providers: [MainGateway] });
    apps.push(app);
    return app;
  }

  it('asks who it is before the upgrade, several at once, and makes the answer the session', async () => {
    const waiting: (() => void)[] = [];
    const app = await start({
      authenticate: async ({ url }, { path }) => {
        switch (new URL(url!, 'ws://host').searchParams.get('as')) {
          case 'ada':
            await new Promise<void>((resolve) => waiting.push(resolve));
            return { userId: 'ada', path };
          case 'false':
            return false;
          case 'throw':
            throw new Error('a secret');
          case 'forbidden':
            throw new ForbiddenException();
          case 'text':
            return 'ada' as never;
          case null:
          default:
            return null;
        }
      },
    });
    const clients = Array.from({ length: 20 }, () => app.client('/ws?as=ada'));
    await eventually(() => expect(waiting).toHaveLength(20));
    expect(app.channels.localCount).toBe(0);
    for (const resolve of waiting) resolve();
    await Promise.all(clients.map(({ opened }) => opened));
    clients[0]!.send('who');
    const session = { userId: 'ada', path: '/ws' };
    await eventually(() => expect(clients[0]!.json).toMatchObject([{ data: { session } }]));
    expect(await app.channels.sendToUser('ada', 'hello')).toBe(20);

    const statuses = ['false', 'throw', 'forbidden', 'text'].map((as) => app.client(`/ws?as=${as}`).refused);
    expect(await Promise.all(statuses)).toEqual([401, 401, 403, 500]);
    expect(app.channels.localCount).toBe(20);
    const guest = await app.connect('/ws');
    guest.send('who');
    await eventually(() => expect(guest.json).toMatchObject([{ data: { session: null } }]));
    expect(await app.client('/ws?a=%00').refused).toBe(400);
  });

  it('does not wait for an authenticate that never answers', async () => {
    jest.useFakeTimers();
    try {
      const never = { authenticate: () => new Promise<null>(() => undefined) };
      const handshake = new Handshake(never, new AbortController().signal, new Logger('test'));
      const decision = handshake.decide({ headers: {}, url: '/' } as IncomingMessage, '/');
      await jest.advanceTimersByTimeAsync(10_000);
      expect(await decision).toMatchObject({ status: 503 });
    } finally {
      jest.useRealTimers();
    }
  });

  it.each<[string, NestboxWsAdapterOptions['origins'], Record<string, boolean>]>([
    ['its own host by default', undefined, { 'http://evil.test': false, 'http://HOST': true, null: false }],
    ['one origin', 'https://a.test', { 'https://a.test': true, 'https://a.test.evil.test': false }],
    ['all', '*', { 'http://evil.test': true }],
    ['a pattern that has a memory', /^https:\/\/[a-z]+\.a\.test$/g, { 'https://x.a.test': true }],
    ['several', ['https://a.test', /b\.test$/], { 'https://a.test': true, 'https://c.test': false }],
    ['a function', async (origin) => origin.endsWith('.test'), { 'http://a.test': true, 'http://b': false }],
    ['a function that throws', () => Promise.reject(new Error('no')), { 'http://a.test': false }],
  ])('lets in the pages of %s', async (_, origins, expected) => {
    const app = await start({ origins });
    for (const [origin, isAllowed] of [...Object.entries(expected), ...Object.entries(expected)]) {
      const client = app.client('/ws', { origin: origin.replace('HOST', `127.0.0.1:${app.port}`) });
      if (isAllowed) await client.opened;
      else expect(await client.refused).toBe(403);
    }
    // No browser.
    await app.connect('/ws');
  });

  it('refuses more connections than it may have', async () => {
    const app = await start({ maxConnections: 2 });
    const first = await app.connect('/ws');
    await app.connect('/ws');
    expect(await app.client('/ws').refused).toBe(503);
    first.socket.close();
    await first.closed;
    await eventually(() => expect(app.channels.localCount).toBe(1));
    await app.connect('/ws');
  });

  it('closes whoever sends too large a message with 1009', async () => {
    const app = await start({ maxPayload: 1000 });
    const [client, other] = [await app.connect('/ws'), await app.connect('/ws')];
    client.socket.send('x'.repeat(1001));
    expect((await client.closed).code).toBe(1009);
    other.send('number', 1);
    await eventually(() => expect(other.messages).toHaveLength(1));
    expect(app.channels.localCount).toBe(1);
  });

  it('ends whoever does not answer pings, and nobody else', async () => {
    const app = await start({ heartbeat: { interval: 300, timeout: 200 } });
    const answering = await app.connect('/ws');
    const silent = await app.connect('/ws', { autoPong: false });
    let pings = 0;
    answering.socket.on('ping', () => pings++);
    expect((await silent.closed).code).toBe(1006);
    await eventually(() => expect(pings).toBeGreaterThan(3));
    expect(app.channels.localCount).toBe(1);
    expect(answering.socket.readyState).toBe(answering.socket.OPEN);
  });

  it('closes whoever does not read with 4008, while others get everything', async () => {
    const app = await start({ maxBufferedBytes: 500_000, closeTimeout: '20s' });
    const [slow, fast] = [await app.connect('/ws'), await app.connect('/ws')];
    for (const client of [slow, fast]) client.send('join', 't');
    await eventually(() => expect([...slow.messages, ...fast.messages]).toHaveLength(2));
    slow.socket.pause();
    const data = 'x'.repeat(100_000);
    let sent = 0;
    while (app.channels.localCount === 2 && sent < 1000) {
      await app.hub.publish('t', data);
      sent++;
      await eventually(() => expect(fast.messages).toHaveLength(sent + 1));
    }
    expect(app.channels.localCount).toBe(1);
    slow.socket.resume();
    expect(await slow.closed).toEqual({ code: 4008, reason: 'slow consumer' });
  });

  it('ends a slow client without a word when it does not react', async () => {
    const app = await start({ maxBufferedBytes: 500_000, closeTimeout: 100 });
    const slow = await app.connect('/ws');
    await eventually(() => expect(app.channels.localCount).toBe(1));
    slow.socket.pause();
    const [id] = app.channels.localIds();
    const data = Buffer.alloc(1_000_000);
    for (let i = 0; i < 1000 && (await app.channels.send(id!, data, { binary: true })) === 'local'; i++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const connections = () =>
      new Promise((resolve) => app.app.getHttpServer().getConnections((_: unknown, n: number) => resolve(n)));
    await eventually(async () => expect(await connections()).toBe(0));
    slow.socket.resume();
    expect((await slow.closed).code).toBe(1006);
  });

  it('sends on when one channel of a topic has a transport that throws', async () => {
    const app = await start({}, { store: new MemoryChannelStore() });
    const client = await app.connect('/ws');
    client.send('join', 't');
    await eventually(() => expect(client.messages).toHaveLength(1));
    const broken = await app.channels.open({
      channelName: 'broken',
      transport: {
        send: () => {
          throw new Error('broken');
        },
        close: () => undefined,
      },
    });
    await app.hub.subscribe('t', broken.id);
    await app.hub.publish('t', 1);
    await eventually(() => expect(client.json.at(-1)).toEqual({ event: 't', data: 1 }));
    expect(app.channels.localCount).toBe(1);
  });

  it('reaches the sockets of two instances on Redis', async () => {
    const redis = await testRedis();
    const options: WsAppOptions = {
      store: 'redis',
      keyPrefix: `${redis.prefix}ws`,
      imports: [RedisModule.forRoot({ url: redis.url })],
    };
    const [one, two] = [await start({}, options), await start({}, options)];
    const clients = [await one.connect('/ws'), await two.connect('/ws')];
    for (const client of clients) client.send('join', 't');
    await eventually(() => {
      for (const client of clients) expect(client.json).toEqual([{ event: 'joined', data: 't' }]);
    });
    await one.hub.publish('t', 1);
    await two.hub.publish('t', 1);
    await eventually(() => {
      for (const client of clients)
        expect(client.json.slice(1)).toEqual([1, 1].map((data) => ({ event: 't', data })));
    });
    clients[0]!.socket.terminate();
    await eventually(async () => expect(await two.hub.presenceCount('t')).toBe(1));
  });
});
