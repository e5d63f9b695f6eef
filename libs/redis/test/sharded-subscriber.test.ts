import { Redis, type RedisSubscription } from '@nestbox/redis';
import {
  eventually,
  startRedis,
  startRedisCluster,
  type TestRedis,
  type TestRedisCluster,
} from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import type { ClusterClient } from '../src/driver.js';
import { slotOf } from '../src/slots.js';

let server: TestRedis;
let cluster: TestRedisCluster;
let single: Redis;
let redis: Redis;

beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  jest.spyOn(Logger.prototype, 'log').mockReturnValue();
  [server, cluster] = await Promise.all([startRedis(), startRedisCluster({ replicasPerMaster: 1 })]);
  single = new Redis(server.url);
  redis = new Redis({ cluster: cluster.nodes });
}, 60_000);
afterAll(async () => {
  await Promise.all([single.close(), redis.close()]);
  await Promise.all([server[Symbol.asyncDispose](), cluster[Symbol.asyncDispose]()]);
});

interface Heard {
  texts: string[];
  subscribed: number;
  lost: number;
  subscription: RedisSubscription;
}

async function listen(one: Redis, channel: string): Promise<Heard> {
  const heard: Omit<Heard, 'subscription'> = { texts: [], subscribed: 0, lost: 0 };
  const subscription = await one.subscribe(channel, (message) => void heard.texts.push(message), {
    sharded: true,
    onSubscribed: () => void heard.subscribed++,
    onLost: () => void heard.lost++,
  });
  return Object.assign(heard, { subscription });
}

/** Sends until it is received: who is subscribed anew may be a moment late. */
async function reaches(heard: Heard, channel: string, text: string): Promise<void> {
  await eventually(async () => {
    await redis.client.spublish(channel, text);
    expect(heard.texts).toContain(text);
  });
}

async function onNode<T>(url: string, act: (client: Redis['client']) => Promise<T>): Promise<T> {
  const direct = new Redis(url);
  try {
    return await act(direct.client);
  } finally {
    await direct.close();
  }
}

function clusterClient(): ClusterClient {
  return redis.client as ClusterClient;
}

function masterUrl(channel: string): string {
  return `redis://${clusterClient().slots[slotOf(channel)]![0]!}`;
}

const channels = Array.from({ length: 12 }, (_, i) => `sharded:${i}`);

describe('subscribe to what is sent', () => {
  it.each([false, true])('gets bytes as they were sent, sharded: %s', async (sharded) => {
    const bytes = Buffer.from([0, 255, 13, 10, 128, 0]);
    const [seen, texts]: [Buffer[], string[]] = [[], []];
    const onBytes = (message: Buffer): void => void seen.push(message);
    const binary = await single.subscribe('bytes', onBytes, { binary: true, sharded });
    const text = await single.subscribe('bytes', (message) => void texts.push(message), { sharded });
    await (sharded ? single.client.spublish('bytes', bytes) : single.client.publish('bytes', bytes));
    await eventually(() => seen.length === 1 && texts.length === 1);
    expect(seen).toEqual([bytes]);
    expect(texts).toEqual([bytes.toString()]);
    expect(binary.isLive).toBe(true);
    await Promise.all([binary.unsubscribe(), text.unsubscribe()]);
    expect(binary.isLive).toBe(false);
  });

  it('keeps the two kinds of pub/sub apart', async () => {
    const seen: string[] = [];
    const classic = await single.subscribe('both', (message) => void seen.push(`classic ${message}`));
    const heard = await listen(single, 'both');
    await single.client.publish('both', 'a');
    await single.client.spublish('both', 'b');
    await eventually(() => seen.length === 1 && heard.texts.length === 1);
    expect([...seen, ...heard.texts]).toEqual(['classic a', 'b']);
    await Promise.all([classic.unsubscribe(), heard.subscription.unsubscribe()]);
  });

  it('tells when the connection is lost and when it is back', async () => {
    const heard = await listen(single, 'state');
    await single.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await eventually(() => heard.lost === 1);
    await eventually(() => heard.subscribed === 2);
    expect(heard.subscription.isLive).toBe(true);
    await server.stop();
    await eventually(() => !heard.subscription.isLive);
    await server.start();
    await eventually(() => heard.subscription.isLive);
    await heard.subscription.unsubscribe();
  });
});

describe('sharded subscriptions on a cluster', () => {
  it('find the slot of a key as Redis does', async () => {
    for (const key of ['a', '', '{a}b', 'b{a}', '{}a', 'a{b', '}{a}', 'ü{🙂}', 'x{a}{b}']) {
      expect([key, slotOf(key)]).toEqual([key, await redis.client.cluster('KEYSLOT', key)]);
    }
  });

  it('use one connection for each master that is needed', async () => {
    const all = await Promise.all(channels.map((channel) => listen(redis, channel)));
    const masters = new Set(channels.map(masterUrl));
    expect(masters.size).toBe(3);
    for (const channel of channels) expect(await redis.client.spublish(channel, channel)).toBe(1);
    await eventually(() => all.every(({ texts }) => texts.length === 1));
    expect(all.map(({ texts }) => texts[0])).toEqual(channels);
    for (const master of masters) {
      const list = await onNode(master, (client) => client.client('LIST'));
      expect(String(list).match(/name=subscriber/g)).toHaveLength(1);
    }
    await Promise.all(all.map(({ subscription }) => subscription.unsubscribe()));
  });

  it('are made anew when connections are killed', async () => {
    const all = await Promise.all(channels.map((channel) => listen(redis, channel)));
    for (const master of new Set(channels.map(masterUrl))) {
      await onNode(master, (client) => client.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
    }
    await eventually(() => expect(all).toMatchObject(channels.map(() => ({ lost: 1, subscribed: 2 }))));
    for (const [i, channel] of channels.entries()) await reaches(all[i]!, channel, 'again');
    await Promise.all(all.map(({ subscription }) => subscription.unsubscribe()));
  });

  it('move with their slot', async () => {
    const channel = channels[0]!;
    const [heard, other] = [await listen(redis, channel), await listen(redis, channels[1]!)];
    const source = masterUrl(channel);
    const target = cluster.masters.find(({ url }) => url !== source)!;
    const id = await onNode(target.url, (client) => client.call('CLUSTER', 'MYID'));
    for (const { url } of [target, ...cluster.masters]) {
      await onNode(url, (client) => client.call('CLUSTER', 'SETSLOT', slotOf(channel), 'NODE', String(id)));
    }
    await eventually(() => heard.lost > 0 && heard.subscription.isLive);
    await reaches(heard, channel, 'moved');
    await reaches(other, channels[1]!, 'stayed');
    const count = await onNode(target.url, (client) => client.call('PUBSUB', 'SHARDNUMSUB', channel));
    expect(count).toEqual([channel, 1]);
    await Promise.all([heard.subscription.unsubscribe(), other.subscription.unsubscribe()]);
  });

  it('survive a failover, and the loss of a master', async () => {
    const all = await Promise.all(channels.map((channel) => listen(redis, channel)));
    await onNode(cluster.replicas[2]!.url, (client) => client.call('CLUSTER', 'FAILOVER'));
    await eventually(async () => {
      const info = await onNode(cluster.replicas[2]!.url, (client) => client.info('replication'));
      expect(info).toContain('role:master');
    });
    for (const [i, channel] of channels.entries()) await reaches(all[i]!, channel, 'after the failover');
    await cluster.masters[1]!.kill();
    await eventually(() => all.every(({ subscription }) => subscription.isLive), { timeoutMs: 20_000 });
    await eventually(
      async () => {
        for (const [i, channel] of channels.entries()) await reaches(all[i]!, channel, 'after the loss');
      },
      { timeoutMs: 20_000 },
    );
    await Promise.all(all.map(({ subscription }) => subscription.unsubscribe()));
  }, 60_000);

  it('are refused in time when the cluster is gone', async () => {
    await cluster.stop();
    await expect(listen(redis, 'gone')).rejects.toThrow('cannot be subscribed to');
  });
});
