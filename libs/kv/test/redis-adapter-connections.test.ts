import { RedisAdapter } from '@nestbox/kv';
import { Redis } from '@nestbox/redis';
import { eventually, startRedis, type TestRedis } from '@nestbox/testing';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { Redis as IORedis } from 'ioredis';

const prefix = 'store';
let server: TestRedis;

beforeAll(async () => {
  server = await startRedis();
});

afterAll(() => server[Symbol.asyncDispose]());

describe('connections', () => {
  it('that were passed in are left open', async () => {
    const client = new IORedis(server.url);
    const redis = new Redis(server.url);
    for (const given of [client, { client }, redis]) {
      const adapter = new RedisAdapter(given, prefix);
      await adapter.set('a', 1);
      const feed = await adapter.openFeed({ prefix: '' });
      await adapter.set('a', 2);
      expect(await feed.read()).toMatchObject([{ value: 2 }]);
      await adapter.close();
      await expect(adapter.get('a')).rejects.toMatchObject({ code: 'CLOSED' });
    }
    expect(await client.ping()).toBe('PONG');
    await redis.ping();
    await eventually(async () => !/name=kv/.test(String(await client.client('LIST'))));
    await redis.close();
    await client.quit();
  });

  it('are made from a URL, options, or options with a URL', async () => {
    for (const given of [server.url, { url: server.url }, { host: server.hostname, port: server.port }]) {
      const adapter = new RedisAdapter(given, prefix);
      await adapter.set('a', 1);
      await adapter.close();
    }
    expect(() => new RedisAdapter(server.url)).not.toThrow();
    const wrong = new RedisAdapter({ keyPrefix: 'x', url: server.url } as never, prefix);
    await expect(wrong.get('a')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      path: 'options.keyPrefix',
    });
    await wrong.close();
  });

  it('to a server that evicts any key are warned of', async () => {
    await using evicting = await startRedis({ settings: { 'maxmemory-policy': 'allkeys-lru' } });
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const adapters = [server, evicting].map(({ url }) => new RedisAdapter(url, prefix));
    for (const adapter of adapters) await adapter.init();
    expect(warn.mock.calls).toEqual([[expect.stringContaining('maxmemory-policy allkeys-lru')]]);
    warn.mockRestore();
    await Promise.all(adapters.map((adapter) => adapter.close()));
  });

  it('of a user who may do no more than needed are enough', async () => {
    const admin = new IORedis(server.url);
    await admin.call('ACL', [
      'SETUSER',
      'app',
      'on',
      '>secret',
      `~${prefix}*`,
      '&*',
      '+@all',
      '-@dangerous',
      '-@admin',
    ]);
    const { hostname: host, port } = server;
    // ioredis says that it may not ask whether the server is ready.
    const warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
    const adapter = new RedisAdapter({ host, port, username: 'app', password: 'secret' }, prefix);
    const feed = await adapter.openFeed({ prefix: '' });
    await adapter.set('a', 1, { recordHistory: true });
    await adapter.set('b', 1, { expiry: { ttl: 5 } });
    expect(await feed.read()).not.toEqual([]);
    expect(await adapter.history('a', 1)).toHaveLength(1);
    expect(await adapter.stats('a')).toMatchObject({ count: 1 });
    expect(await adapter.clear('')).toBeGreaterThan(0);
    warn.mockRestore();
    await adapter.close();
    await admin.quit();
  });

  it('can be closed twice, without having been opened, and while they are opened', async () => {
    const never = new RedisAdapter(server.url, prefix);
    await never.close();
    await never.close();
    await expect(never.init()).rejects.toMatchObject({ code: 'CLOSED' });
    const early = new RedisAdapter(server.url, prefix);
    const opening = early.init().catch((error: unknown) => error);
    await early.close();
    expect(await opening).toMatchObject({ code: 'CLOSED' });
  });
});
