import {
  eventually,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  testRedis,
  type TestRedis,
} from '@nestbox/testing';
import { Cluster, Redis } from 'ioredis';

function connect(url: string): Redis {
  const client = new Redis(url, { maxRetriesPerRequest: 1, retryStrategy: () => null });
  client.on('error', () => {});
  return client;
}

describe('startRedis', () => {
  let server: TestRedis;
  beforeAll(async () => {
    server = await startRedis({ appendonly: true, settings: { 'maxmemory-policy': 'noeviction' } });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each(['stop', 'kill'] as const)(
    'keeps data and port through %s and start when it persists',
    async (how) => {
      const before = connect(server.url);
      await before.set('kept', how);
      await server[how]();
      expect(server.pid).toBeUndefined();
      before.disconnect();
      await server.start();
      const after = connect(server.url);
      expect(await after.get('kept')).toBe(how);
      after.disconnect();
    },
  );

  it('hangs while frozen', async () => {
    const client = connect(server.url);
    await client.ping();
    await server.freeze();
    const answer = client.ping();
    await expect(Promise.race([answer, new Promise((r) => setTimeout(r, 100, 'silent'))])).resolves.toBe(
      'silent',
    );
    await server.unfreeze();
    expect(await answer).toBe('PONG');
    client.disconnect();
  });
});

describe('startRedisCluster', () => {
  it('makes a cluster of masters and replicas in which every slot has a home', async () => {
    await using cluster = await startRedisCluster({ masters: 3, replicasPerMaster: 1 });
    expect(cluster.nodes).toHaveLength(6);
    const client = new Cluster(cluster.nodes);
    client.on('error', () => {});
    const keys = Array.from({ length: 100 }, (_, i) => `key:${i}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    const values = await Promise.all(keys.map((key) => client.get(key)));
    const roles = { masters: client.nodes('master').length, replicas: client.nodes('slave').length };
    client.disconnect();
    expect(values).toEqual(keys);
    expect(roles).toEqual({ masters: 3, replicas: 3 });
  });
});

describe('startRedisSentinel', () => {
  it('makes a replica the master when the master dies', async () => {
    await using group = await startRedisSentinel();
    const [first, second] = group.servers;
    expect(await group.master()).toBe(first);
    const { sentinels, name } = group;
    const client = new Redis({ sentinels, name, sentinelRetryStrategy: () => 50 });
    client.on('error', () => {});
    await client.set('before', 1);
    await first!.kill();
    await eventually(async () => (await group.master()) === second, { timeoutMs: 15_000 });
    await eventually(async () => (await client.set('after', 2)) === 'OK', { timeoutMs: 15_000 });
    client.disconnect();
  });
});

describe('testRedis', () => {
  it('gives the shared server and a prefix of its own', async () => {
    const [a, b] = await Promise.all([testRedis(), testRedis()]);
    expect(a.prefix).not.toBe(b.prefix);
    const client = connect(a.url);
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });
});
