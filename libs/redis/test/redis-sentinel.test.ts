import { Redis } from '@nestbox/redis';
import { eventually, startRedisSentinel, type TestRedisSentinel } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import { checkHealth } from '../src/redis.health-check.js';

let group: TestRedisSentinel;
let redis: Redis;

beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  jest.spyOn(Logger.prototype, 'log').mockReturnValue();
  group = await startRedisSentinel();
  redis = new Redis({ sentinels: group.sentinels, name: group.name });
});
afterAll(async () => {
  await redis.close();
  await group[Symbol.asyncDispose]();
});

describe('Redis behind sentinels', () => {
  it('finds the master', async () => {
    expect(redis.mode).toBe('sentinel');
    expect(redis.isCluster).toBe(false);
    expect(redis.server).toBe('mymaster, by sentinels');
    expect(await redis.client.set('a', '1')).toBe('OK');
    expect((await checkHealth(redis, 1000)).figures).toMatchObject({ mode: 'sentinel', role: 'master' });
  });

  it('follows a failover, with its subscriptions and scripts', async () => {
    const [first, second] = group.servers;
    let subscribed = 0;
    const seen: string[] = [];
    await redis.subscribe(
      'news',
      (message) => {
        seen.push(message);
      },
      () => {
        subscribed++;
      },
    );
    const script = redis.script({ name: 'incr', lua: "return redis.call('INCR', KEYS[1])" });
    await script.run(['counter']);
    expect(await redis.client.wait(1, 1000)).toBe(1);
    await first!.kill();
    expect(await eventually(() => script.run(['counter']), { timeoutMs: 20_000 })).toBe(2);
    expect(await group.master()).toBe(second);
    await eventually(() => subscribed === 2);
    await redis.client.publish('news', 'hello');
    await eventually(() => expect(seen).toEqual(['hello']));
  });
});
