import { ChannelOperationError, RedisChannelStore } from '@nestbox/channels';
import { Redis } from '@nestbox/redis';
import { eventually, startRedis, type TestRedis } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { Redis as IORedis } from 'ioredis';

let server: TestRedis;
let raw: IORedis;
let prefix: string;
let prefixes = 0;
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  Logger.overrideLogger(false);
  server = await startRedis();
  raw = new IORedis(server.url, { retryStrategy: () => 20 });
  raw.on('error', () => {
    // It is stopped in a test.
  });
});

afterAll(async () => {
  raw.disconnect();
  await server[Symbol.asyncDispose]();
});

beforeEach(() => {
  prefix = `app${++prefixes}`;
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});

function open(): RedisChannelStore {
  const store = new RedisChannelStore(server.url, prefix);
  opened.push(store);
  return store;
}

describe('connections', () => {
  it('that were passed in are left open', async () => {
    const client = new IORedis(server.url);
    const pipelining = new IORedis(server.url, { enableAutoPipelining: true });
    const redis = new Redis(server.url);
    for (const given of [client, { client }, pipelining, redis]) {
      const store = new RedisChannelStore(given, prefix);
      await store.addChannel({ channelId: 'a', channelName: 'room' });
      expect(await store.ping()).toBeGreaterThan(0);
      await store.close();
      await store.close();
      await expect(store.count()).rejects.toMatchObject({ code: 'CLOSED' });
    }
    expect([await client.ping(), await pipelining.ping()]).toEqual(['PONG', 'PONG']);
    await redis.ping();
    await redis.close();
    client.disconnect();
    pipelining.disconnect();
    await eventually(async () => !/name=channels/.test(String(await raw.client('LIST'))));
  });

  it('are made from a URL, or options, and closed', async () => {
    const { hostname: host, port } = server;
    for (const given of [server.url, { url: server.url }, { host, port, connectionName: 'mine' }]) {
      const store = new RedisChannelStore(given, prefix);
      await store.init();
      await store.init();
      await store.close();
    }
    await eventually(async () => !/name=mine/.test(String(await raw.client('LIST'))));
    expect(() => new RedisChannelStore({ url: server.url, keyPrefix: 'x' } as never)).toThrow(/keyPrefix/);
    const never = new RedisChannelStore(server.url, prefix);
    await never.close();
    await expect(never.init()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('that are lost are told of within two seconds, and made again', async () => {
    const store = open();
    await store.addChannel({ channelId: 'a', channelName: 'room' });
    await server.kill();
    try {
      const started = performance.now();
      const failures = await Promise.all(
        [
          store.addChannel({ channelId: 'b', channelName: 'room' }),
          store.getChannelAndSession('a'),
          store.removeChannels(['a', 'b']),
          store.count(),
          store.reap(),
          store.ping(),
        ].map((promise: Promise<unknown>) => promise.catch((error: unknown) => error)),
      );
      expect(performance.now() - started).toBeLessThan(2000);
      for (const failure of failures) expect(failure).toBeInstanceOf(ChannelOperationError);
      expect(failures[0]).toMatchObject({
        message: expect.stringMatching(/^Failed to add channel "b": /),
        channelId: 'b',
        cause: { code: 'REDIS_UNAVAILABLE' },
      });
    } finally {
      await server.start();
    }
    await eventually(() => store.addChannel({ channelId: 'b', channelName: 'room' }));
    expect(await store.count()).toBe(1);
  });

  it('bring the error of one operation to its caller only', async () => {
    const store = open();
    await raw.set(`${prefix}:channel:foreign`, 'text');
    const results = await Promise.allSettled([
      store.addChannel({ channelId: 'a', channelName: 'room' }),
      store.addChannel({ channelId: 'foreign', channelName: 'room' }),
      store.addChannel({ channelId: 'b', channelName: 'room' }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    const reads = await Promise.allSettled(['a', 'foreign', 'b'].map((id) => store.getChannelAndSession(id)));
    expect(reads.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(reads[1]).toMatchObject({ reason: { message: expect.stringContaining('WRONGTYPE') } });
  });
});
