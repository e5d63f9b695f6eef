import { Redis, RedisUnavailableError, escapeGlob } from '@nestbox/redis';
import { eventually, startRedisCluster, type TestRedis, type TestRedisCluster } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import { Cluster } from 'ioredis';
import { checkHealth } from '../src/redis.health-check.js';
import { outcomeOf, pipelined } from './support/outcome.js';

let cluster: TestRedisCluster;
let redis: Redis;

beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  jest.spyOn(Logger.prototype, 'log').mockReturnValue();
  cluster = await startRedisCluster();
  redis = new Redis({ cluster: cluster.nodes });
});
afterAll(async () => {
  await redis.close();
  await cluster[Symbol.asyncDispose]();
});

/** Which of the masters holds each key now. */
async function homesOf(keys: readonly string[]): Promise<Map<string, TestRedis>> {
  const homes = new Map<string, TestRedis>();
  for (const master of cluster.masters) {
    const direct = new Redis(master.url);
    for (const key of keys) {
      // Another node's keys are refused with MOVED.
      const { value } = await outcomeOf(() => direct.client.exists(key));
      if (value === 1) homes.set(key, master);
    }
    await direct.close();
  }
  return homes;
}

describe('Redis on a cluster', () => {
  const keys = Array.from({ length: 60 }, (_, i) => `home:${i}`);

  it('reaches every node, by commands, scripts, scans and dedicated connections', async () => {
    expect(redis.isCluster).toBe(true);
    expect(redis.mode).toBe('cluster');
    await Promise.all(keys.map((key) => redis.client.set(key, key)));
    expect(new Set((await homesOf(keys)).values()).size).toBe(3);
    expect(await redis.masters()).toHaveLength(3);

    const script = redis.script({ name: 'read', lua: "return redis.call('GET', KEYS[1]) .. ARGV[1]" });
    expect(await Promise.all(keys.map((key) => script.run([key], ['!'])))).toEqual(
      keys.map((key) => `${key}!`),
    );

    const found: string[] = [];
    for await (const key of redis.scan({ match: `${escapeGlob('home:')}*`, count: 7 })) found.push(key);
    expect(found.toSorted()).toEqual(keys.toSorted());

    const dedicated = redis.duplicate('blocking', { blockMs: 5000 });
    expect(await Promise.all(keys.map((key) => dedicated.get(key)))).toEqual(keys);
  });

  it('passes messages on from any node to any other', async () => {
    const received: string[] = [];
    const { unsubscribe } = await redis.subscribe('news', (message) => {
      received.push(message);
    });
    for (const master of await redis.masters()) await master.publish('news', 'hello');
    await eventually(() => expect(received).toEqual(['hello', 'hello', 'hello']));
    await unsubscribe();
  });

  it('follows slots that move', async () => {
    const key = 'moving';
    await redis.client.set(key, 'before');
    const slot = await redis.client.cluster('KEYSLOT', key);
    const homes = await homesOf([key]);
    const source = homes.get(key)!;
    const target = cluster.masters.find((master) => master !== source)!;
    const clients = cluster.masters.map((master) => new Redis(master.url));
    const targetId = await clients[cluster.masters.indexOf(target)]!.client.call('CLUSTER', 'MYID');
    await redis.client.del(key);
    for (const { client } of clients) await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(targetId));
    expect(await redis.client.set(key, 'after')).toBe('OK');
    expect((await homesOf([key])).get(key)).toBe(target);
    await Promise.all(clients.map((one) => one.close()));
  });

  it('is healthy', async () => {
    const { problem, figures } = await checkHealth(redis, 2000);
    expect(problem).toBeUndefined();
    expect(figures).toMatchObject({ mode: 'cluster', masters: 3, slotsServed: 16_384, unreachable: [] });
    expect(figures.latencyMs).toBeGreaterThan(0);
  });

  it('goes on without a master that died, says that it limps, and has it back when it returns', async () => {
    const homes = await homesOf(keys);
    const dead = cluster.masters[1]!;
    await dead.kill();
    const outcomes = await Promise.all(keys.map((key) => outcomeOf(() => redis.client.set(key, 'x'))));
    keys.forEach((key, i) => {
      const { value, error, ms } = outcomes[i]!;
      if (homes.get(key) === dead) expect(error).toBeInstanceOf(RedisUnavailableError);
      else expect(value).toBe('OK');
      expect(ms).toBeLessThan(4000);
    });
    const { problem, figures } = await checkHealth(redis, 2000);
    expect(problem).toContain(`127.0.0.1:${dead.port}`);
    expect(figures.unreachable).toEqual([`127.0.0.1:${dead.port}`]);
    await dead.start();
    await cluster.ready();
    await eventually(async () => {
      expect((await checkHealth(redis, 2000)).problem).toBeUndefined();
      await Promise.all(keys.map((key) => redis.client.set(key, 'y')));
    });
  });

  it('says that it limps when a master hangs', async () => {
    const hung = cluster.masters[0]!;
    await hung.freeze();
    try {
      const { problem } = await checkHealth(redis, 500);
      expect(problem).toContain(`127.0.0.1:${hung.port}`);
    } finally {
      await hung.unfreeze();
    }
    await cluster.ready();
    await eventually(async () => expect((await checkHealth(redis, 2000)).problem).toBeUndefined());
  });

  it('leaves a shared cluster client open', async () => {
    const client = new Cluster(cluster.nodes, { lazyConnect: true });
    const shared = new Redis(client);
    expect(shared.isCluster).toBe(true);
    const dedicated = shared.duplicate('own');
    expect(await dedicated.set('shared', '1')).toBe('OK');
    await shared.subscribe('c', () => {});
    await shared.close();
    expect(await client.get('shared')).toBe('1');
    client.disconnect();
  });

  it('fails in about a second when the whole cluster is gone, and recovers', async () => {
    await cluster.stop();
    const fresh = new Redis({ cluster: cluster.nodes });
    for (const one of [redis, fresh]) {
      for (const attempt of [() => one.client.get('a'), () => pipelined(one), () => one.connect()]) {
        const { error, ms } = await outcomeOf(attempt);
        expect(error).toBeInstanceOf(RedisUnavailableError);
        expect(ms).toBeLessThan(2500);
      }
    }
    await expect(checkHealth(redis, 1000)).rejects.toThrow(/Redis \(cluster\)/);
    await fresh.close();
    await Promise.all(cluster.masters.map((master) => master.start()));
    await cluster.ready();
    expect(await eventually(() => redis.client.set('home:1', 'again'))).toBe('OK');
  });
});
