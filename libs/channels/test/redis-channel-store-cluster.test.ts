import {
  ChannelOperationError,
  RedisChannelKeys,
  RedisChannelStore,
  redisSubscriptions,
} from '@nestbox/channels';
import { eventually, startRedisCluster, type TestRedisCluster } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { Cluster, Redis as IORedis } from 'ioredis';

let cluster: TestRedisCluster;
let raw: Cluster;
let prefix: string;
let prefixes = 0;
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  Logger.overrideLogger(false);
  cluster = await startRedisCluster({ settings: { appendonly: 'yes' } });
  raw = new Cluster(cluster.nodes);
  raw.on('error', () => {
    // A node is stopped in a test.
  });
});

afterAll(async () => {
  raw.disconnect();
  await cluster[Symbol.asyncDispose]();
});

beforeEach(() => {
  prefix = `app${++prefixes}`;
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});

type Source = ConstructorParameters<typeof RedisChannelStore>[0];

/** A busy machine may take its time to connect. */
const patient = () => ({ cluster: cluster.nodes, unavailableAfter: '10s' }) as const;

function open(ttl: number | string = '1d', source: Source = patient()): RedisChannelStore {
  const store = new RedisChannelStore(source, prefix, { ttl });
  opened.push(store);
  return store;
}

function openSubscriptions(source: Source = patient(), ttlMs = 60_000) {
  const connection = redisSubscriptions(source, prefix, ttlMs);
  opened.push(connection);
  return connection.subscriptions;
}

async function keys(): Promise<string[]> {
  const found = await Promise.all(
    cluster.masters.map(async ({ url }) => {
      const client = new IORedis(url);
      try {
        return await client.keys(`${prefix}:*`);
      } finally {
        client.disconnect();
      }
    }),
  );
  return found.flat();
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** A client whose commands fail from the n-th on, as when the process ends there. */
function dyingClient(after: number): { client: Cluster; survived: () => boolean } {
  const client = new Cluster(cluster.nodes);
  const send = client.sendCommand.bind(client);
  let left = after;
  client.sendCommand = (command, ...rest) => {
    // What the client itself asks, and the greeting of the store.
    if (!['cluster', 'ping'].includes(command.name) && left-- <= 0) {
      command.reject(new Error('The process ended.'));
      return command.promise;
    }
    return send(command, ...rest);
  };
  return { client, survived: () => left >= 0 };
}

it('keeps channels and subscriptions in different slots, with nothing left behind', async () => {
  const store = open();
  const subscriptions = openSubscriptions();
  const ids = numbers(60).map((i) => `c${i}`);
  await Promise.all(
    ids.map(async (id, i) => {
      await store.addChannel({ channelId: id, channelName: `room${i % 2}`, nodeId: `n${i % 3}` });
      await store.setUserSession(id, { userId: `u${i % 5}` });
      await store.setUserSession(id, { userId: `u${i % 7}` });
      for (const topic of ['x', `t${i % 4}`]) await subscriptions.join(topic, id);
    }),
  );
  for (const key of await keys()) {
    expect(key).not.toMatch(/[{}]/);
    expect(await raw.pttl(key)).toBeGreaterThan(0);
  }
  const listed: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list({ limit: 7, ...(cursor !== undefined && { cursor }) });
    listed.push(...page.channels.map(({ channelId }) => channelId));
    ({ cursor } = page);
  } while (cursor !== undefined);
  expect(listed).toEqual([...ids].sort());
  expect(await store.count()).toBe(60);
  expect(await subscriptions.list({ prefix: 't', after: undefined, limit: 3 })).toEqual({
    topics: ['t0', 't1', 't2'],
    after: 't2',
  });
  await store.removeChannels(ids);
  expect(await keys()).toEqual([]);
});

describe('a crash', () => {
  const operations: Record<
    string,
    (store: RedisChannelStore, subscriptions: ReturnType<typeof openSubscriptions>) => Promise<unknown>
  > = {
    'adding a channel': (store) => store.addChannel({ channelId: 'a', channelName: 'r', nodeId: 'new' }),
    'setting a session': (store) => store.setUserSession('a', { userId: 'other' }),
    subscribing: (_, subscriptions) => subscriptions.join('another', 'a'),
    unsubscribing: (_, subscriptions) => subscriptions.leave('t', 'a'),
    removing: (store) => store.removeChannels(['a']),
    'removing stale ones': (store) => store.removeStale(1),
    'releasing an instance': (store) => store.releaseNode('n'),
  };

  it.each(Object.keys(operations))('at any step of %s heals', async (name) => {
    let steps = 0;
    for (let survived = false; !survived; steps++) {
      prefix = `app${++prefixes}`;
      const store = open();
      const subscriptions = openSubscriptions();
      await store.addChannel({ channelId: 'a', channelName: 'room', nodeId: 'n' });
      await store.setUserSession('a', { userId: 'u' });
      await subscriptions.join('t', 'a');
      const dying = dyingClient(steps);
      const dyingStore = new RedisChannelStore(dying.client, prefix);
      const dyingSubscriptions = redisSubscriptions(dying.client, prefix, 60_000);
      await operations[name]!(dyingStore, dyingSubscriptions.subscriptions).catch(() => undefined);
      await Promise.all([dyingStore.close(), dyingSubscriptions.close()]);
      dying.client.disconnect();
      survived = dying.survived();
      // Somebody who knows the channel removes it, and the instances end.
      await store.removeChannels(['a']);
      for (const node of ['n', 'new']) {
        await eventually(async () => {
          await store.releaseNode(node);
          const claim = await raw.zscore(`${prefix}:nodes`, `\0${node}`);
          // Nobody holds a claim for longer than its time.
          if (claim !== null) await raw.zadd(`${prefix}:nodes`, 0, `\0${node}`);
          expect(claim).toBeNull();
        });
      }
      for (const user of ['u', 'other']) expect(await store.findByUser(user)).toEqual([]);
      await subscriptions.list({ prefix: '', after: undefined, limit: 10 });
      expect({ name, steps, keys: await keys() }).toEqual({ name, steps, keys: [] });
    }
    expect(steps).toBeGreaterThan(2);
  });

  it('that nobody knows of is tidied up', async () => {
    const store = open();
    const subscriptions = openSubscriptions();
    // An id is without a channel for too long after the time to live of the one that tidies up.
    const tidier = open(150);
    await store.addChannel({ channelId: 'lives', channelName: 'room' });
    await subscriptions.join('t', 'lives');
    const layout = new RedisChannelKeys(prefix, true);
    const ids = layout.ids(layout.shardOf('never added'));
    const topics = layout.topics(layout.shardOf('never there'));
    await raw.zadd(ids, 0, 'never added');
    await raw.sadd(`${prefix}:topic:t`, 'never subscribed');
    await raw.zadd(topics, 0, 'never there');
    await eventually(
      async () => {
        for (const _ of numbers(17)) await tidier.reap();
        expect(await subscriptions.channelsOf('t')).toEqual(['lives']);
        expect(await raw.zscore(topics, 'never there')).toBeNull();
        expect(await raw.zscore(ids, 'never added')).toBeNull();
      },
      { intervalMs: 10 },
    );
    expect(await store.count()).toBe(1);
  });
});

it('gives all keys of a channel that is touched their time to live anew', async () => {
  const store = open();
  const subscriptions = openSubscriptions(undefined, 86_400_000);
  await store.addChannel({ channelId: 'a', channelName: 'room', nodeId: 'n' });
  await store.setUserSession('a', { userId: 'u' });
  await subscriptions.join('t', 'a');
  const all = await keys();
  for (const key of all) await raw.pexpire(key, 60_000);
  await store.touch(['a']);
  expect(all).toHaveLength(7);
  for (const key of all) expect([key, (await raw.pttl(key)) > 60_000]).toEqual([key, true]);
});

it('gives every channel of a dead instance to one caller', async () => {
  const stores = numbers(3).map(() => open());
  const ids = numbers(250).map((i) => `c${i}`);
  await Promise.all(
    ids.map((channelId) => stores[0]!.addChannel({ channelId, channelName: 'r', nodeId: 'n' })),
  );
  await stores[0]!.heartbeat('n', 1);
  const reaped: string[] = [];
  await eventually(async () => {
    const results = await Promise.all(stores.map((store) => store.reap()));
    reaped.push(...results.flat().flatMap(({ channelIds }) => channelIds));
    expect(reaped).toHaveLength(250);
  });
  expect(new Set(reaped).size).toBe(250);
  expect(await keys()).toEqual([]);
});

it('gives every stale channel to one caller, and spares those that are touched', async () => {
  const stores = numbers(3).map(() => open());
  const ids = numbers(100).map((i) => `c${i}`);
  await Promise.all(ids.map((channelId) => stores[0]!.addChannel({ channelId, channelName: 'r' })));
  await stores[0]!.removeStale('1h');
  expect(await stores[0]!.count()).toBe(100);
  const layout = new RedisChannelKeys(prefix, true);
  const longAgo = String(Date.now() - 2 * 3_600_000);
  await Promise.all(ids.map((id) => raw.hset(layout.channel(id), 'lastInteraction', longAgo)));
  await stores[0]!.touch(['c0']);
  const removed = (await Promise.all(stores.map((store) => store.removeStale('1h')))).flat();
  expect(removed.toSorted()).toEqual(ids.slice(1).toSorted());
  expect(await stores[0]!.locate(['c0', 'c1'])).toEqual(new Map([['c0', null]]));
});

it('lets operations of all kinds at the same time leave nothing that tidying does not find', async () => {
  const stores = [open(), open()];
  const subscriptions = [openSubscriptions(), openSubscriptions()];
  const ids = ['a', 'b', 'c'];
  await Promise.all(
    numbers(300).map((i): Promise<unknown> => {
      const [store, subs] = [stores[i % 2]!, subscriptions[i % 2]!];
      const id = ids[i % 3]!;
      switch (Math.floor(Math.random() * 6)) {
        case 0:
          return store.addChannel({ channelId: id, channelName: 'room', nodeId: 'n' });
        case 1:
          return store.setUserSession(id, { userId: 'u' }).catch(() => undefined);
        case 2:
          return store.removeChannels([id]);
        case 3:
          return subs.leave('t', id);
        default:
          return subs.join('t', id);
      }
    }),
  );
  for (const _ of numbers(17)) await stores[0]!.reap();
  for (const id of ids) {
    const joined = (await raw.sismember(`${prefix}:topic:t`, id)) === 1;
    if (joined) expect(await raw.sismember(`${prefix}:subs:${id}`, 't')).toBe(1);
  }
  await stores[0]!.removeChannels(ids);
  await stores[0]!.releaseNode('n');
  await stores[0]!.findByUser('u');
  await eventually(async () => {
    await stores[0]!.reap();
    expect(await keys()).toEqual([]);
  });
});

it('fails for the keys of a lost master within a few seconds, and goes on when it is back', async () => {
  const store = open('1d', { cluster: cluster.nodes });
  const ids = numbers(12).map((i) => `c${i}`);
  await Promise.all(ids.map((channelId) => store.addChannel({ channelId, channelName: 'room' })));
  const lost = cluster.masters[1]!;
  await lost.kill();
  try {
    const started = performance.now();
    const results = await Promise.allSettled(ids.map((id) => store.getChannelAndSession(id)));
    expect(performance.now() - started).toBeLessThan(6000);
    const failures = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason as unknown] : [],
    );
    expect(failures.length).toBeGreaterThan(0);
    expect(failures.length).toBeLessThan(ids.length);
    for (const failure of failures) expect(failure).toBeInstanceOf(ChannelOperationError);
  } finally {
    await lost.start();
    await cluster.ready();
  }
  await eventually(async () => expect((await store.getChannels(ids)).size).toBe(12));
});
