import { RedisBackplane } from '@nestbox/channels';
import { Redis } from '@nestbox/redis';
import { eventually, startRedisCluster, type TestRedis, type TestRedisCluster } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import type { BackplaneMessage } from '../src/backplane/backplane.js';
import { RedisBackplaneKeys, bucketOf } from '../src/backplane/redis/redis-backplane-keys.js';

let cluster: TestRedisCluster;
let redis: Redis;
const opened: RedisBackplane[] = [];

beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  jest.spyOn(Logger.prototype, 'log').mockReturnValue();
  cluster = await startRedisCluster();
  redis = new Redis({ cluster: cluster.nodes, unavailableAfter: '10s' });
}, 60_000);
afterEach(async () => {
  await Promise.all(opened.splice(0).map((backplane) => backplane.close()));
});
afterAll(async () => {
  await redis.close();
  await cluster[Symbol.asyncDispose]();
});

async function instance(nodeId: string, name: string, sharded?: boolean) {
  const backplane = new RedisBackplane(redis, { name, ...(sharded !== undefined && { sharded }) });
  opened.push(backplane);
  const messages: BackplaneMessage[] = [];
  const one = { backplane, messages, gaps: 0, recoveries: 0 };
  await backplane.open(nodeId, {
    onMessage: (message) => messages.push(message),
    onGap: () => one.gaps++,
    onRecovered: () => one.recoveries++,
  });
  return one;
}

const KEEP = { size: 1000, ttlMs: 60_000 };
const topics = Array.from({ length: 40 }, (_, i) => `topic.${i}`);

function numbered(topic: string, n: number) {
  return { topic, payload: Buffer.from(String(n)), binary: false, except: [] };
}

function numbersOf(messages: BackplaneMessage[], topic: string): number[] {
  return messages.flatMap((message) => (message.topic === topic ? [Number(message.payload)] : []));
}

async function onNode(server: TestRedis, ...command: [string, ...(string | number)[]]): Promise<unknown> {
  const direct = new Redis(server.url);
  try {
    return await direct.client.call(...command);
  } finally {
    await direct.close();
  }
}

describe.each([undefined, false])('RedisBackplane on a cluster, sharded: %s', (sharded) => {
  it('carries and keeps the messages of topics on all masters, in order', async () => {
    const name = `all-${sharded}`;
    const [a, b] = [await instance('a', name, sharded), await instance('b', name, sharded)];
    await Promise.all(topics.map(async (topic) => b.backplane.join(topic)));
    const numbers = Array.from({ length: 50 }, (_, i) => i);
    await Promise.all(
      numbers.flatMap((n) =>
        topics.map((topic, i) => a.backplane.publish(numbered(topic, n), i % 2 ? KEEP : undefined)),
      ),
    );
    await eventually(() => b.messages.length === 2000);
    for (const topic of topics) expect(numbersOf(b.messages, topic)).toEqual(numbers);
    expect(b.gaps).toBe(0);
  });

  it('misses nothing when all subscriptions are cut', async () => {
    const name = `cut-${sharded}`;
    const [a, b] = [await instance('a', name, sharded), await instance('b', name, sharded)];
    await Promise.all(topics.map(async (topic) => b.backplane.join(topic)));
    for (let n = 0; n < 40; n++) {
      await Promise.all(topics.map((topic) => a.backplane.publish(numbered(topic, n), KEEP)));
      if (n % 10 === 5) {
        for (const master of cluster.masters) await onNode(master, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
      }
    }
    const numbers = Array.from({ length: 40 }, (_, i) => i);
    await eventually(() => {
      for (const topic of topics) expect(numbersOf(b.messages, topic)).toEqual(numbers);
    });
    expect(b.gaps).toBe(0);
    await eventually(() => b.backplane.state.status === 'up');
    expect(b.recoveries).toBeGreaterThan(0);
  });
});

it('follows a bucket to another node, with its histories', async () => {
  const [a, b] = [await instance('a', 'moving'), await instance('b', 'moving')];
  const topic = topics[0]!;
  await b.backplane.join(topic);
  for (let n = 0; n < 5; n++) await a.backplane.publish(numbered(topic, n), KEEP);
  const keys = new RedisBackplaneKeys('pikku', 'moving');
  const slot = await redis.client.cluster('KEYSLOT', keys.channel(bucketOf(topic)));
  const ranges = await redis.client.cluster('SLOTS');
  const port = ranges.find(([from, to]) => from <= slot && slot <= to)![2]![1];
  const source = cluster.masters.find((master) => master.port === port)!;
  const target = cluster.masters.find((master) => master !== source)!;
  const [sourceId, targetId] = [
    String(await onNode(source, 'CLUSTER', 'MYID')),
    String(await onNode(target, 'CLUSTER', 'MYID')),
  ];
  let isOn = true;
  let count = 5;
  const publishing = (async () => {
    for (; isOn; count++) await a.backplane.publish(numbered(topic, count), KEEP);
  })();
  await onNode(target, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', sourceId);
  await onNode(source, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', targetId);
  const found = (await onNode(source, 'CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[];
  await onNode(source, 'MIGRATE', target.hostname, target.port, '', 0, 5000, 'KEYS', ...found);
  for (const server of [target, source, ...cluster.masters]) {
    await onNode(server, 'CLUSTER', 'SETSLOT', slot, 'NODE', targetId);
  }
  const before = count;
  await eventually(() => count > before + 50);
  isOn = false;
  await publishing;
  await eventually(() =>
    expect(numbersOf(b.messages, topic)).toEqual(Array.from({ length: count }, (_, i) => i)),
  );
  expect(b.gaps).toBe(0);
});
