import { Redis } from '@nestbox/redis';
import { eventually, startRedis, type TestRedis } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';

let server: TestRedis;
let redis: Redis;
let errors: jest.SpiedFunction<Logger['error']>;

beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  jest.spyOn(Logger.prototype, 'log').mockReturnValue();
  errors = jest.spyOn(Logger.prototype, 'error').mockReturnValue();
  server = await startRedis();
  redis = new Redis(server.url);
});
afterAll(async () => {
  await redis.close();
  await server[Symbol.asyncDispose]();
});

async function connections(): Promise<number> {
  const list = String(await redis.client.client('LIST'));
  return list.split('\n').filter((line) => line.includes('name=subscriber')).length;
}

describe('subscribe', () => {
  it('delivers to every subscription of a channel until it ends, on one connection', async () => {
    const [a, b]: [string[], string[]] = [[], []];
    const first = await redis.subscribe('one', (message, channel) => {
      a.push(`${channel} ${message}`);
    });
    const second = await redis.subscribe('one', (message) => {
      b.push(message);
    });
    const third = await redis.subscribe('two', (message) => {
      b.push(message);
    });
    expect(await connections()).toBe(1);
    expect(await redis.client.publish('one', '1')).toBe(1);
    await eventually(() => a.length === 1 && b.length === 1);
    await first.unsubscribe();
    await first.unsubscribe();
    await redis.client.publish('one', '2');
    await redis.client.publish('two', '3');
    await eventually(() => b.length === 3);
    expect(a).toEqual(['one 1']);
    expect(b).toEqual(['1', '2', '3']);
    await Promise.all([second.unsubscribe(), third.unsubscribe()]);
    await eventually(async () => (await connections()) === 0);
    const again = await redis.subscribe('one', () => {});
    expect(await connections()).toBe(1);
    await again.unsubscribe();
  });

  it('confirms many subscriptions that are made at once', async () => {
    const seen = new Set<string>();
    const subscriptions = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        redis.subscribe(`many:${i % 25}`, (_message, channel) => {
          seen.add(channel);
        }),
      ),
    );
    for (let i = 0; i < 25; i++) expect(await redis.client.publish(`many:${i}`, 'x')).toBe(1);
    await eventually(() => seen.size === 25);
    await Promise.all(subscriptions.map((one) => one.unsubscribe()));
  });

  it('goes on after a failing handler, and logs its error', async () => {
    const seen: string[] = [];
    const subscription = await redis.subscribe('bad', async (message) => {
      seen.push(message);
      if (message === 'sync') throw new Error('handler broke');
      await Promise.reject(new Error('handler rejected'));
    });
    await redis.client.publish('bad', 'sync');
    await redis.client.publish('bad', 'async');
    await eventually(() => seen.length === 2);
    await eventually(() => errors.mock.calls.length === 2);
    expect(String(errors.mock.calls[0]![0])).toBe('A handler of channel "bad" failed: handler broke');
    await subscription.unsubscribe();
  });

  it('subscribes again whenever the connection is back, and says so', async () => {
    let subscribed = 0;
    const seen: string[] = [];
    const subscription = await redis.subscribe(
      'again',
      (message) => {
        seen.push(message);
      },
      () => {
        subscribed++;
      },
    );
    expect(subscribed).toBe(1);
    const list = String(await redis.client.client('LIST'));
    const id = /id=(\d+).*name=subscriber/.exec(list)![1]!;
    await redis.client.client('KILL', 'ID', id);
    await eventually(() => subscribed === 2);
    await server.restart();
    await eventually(() => subscribed === 3);
    await eventually(async () => (await redis.client.publish('again', 'hello')) === 1);
    await eventually(() => seen.length >= 1);
    await subscription.unsubscribe();
  });

  it('replaces a connection that hangs', async () => {
    let subscribed = 0;
    const own = new Redis({ url: server.url, commandTimeout: 200 });
    await own.subscribe(
      'hanging',
      () => {},
      () => {
        subscribed++;
      },
    );
    await server.freeze();
    // The next sign of life is due after 2 s.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await server.unfreeze();
    await eventually(() => expect(subscribed).toBe(2));
    await own.close();
  }, 20_000);
});
