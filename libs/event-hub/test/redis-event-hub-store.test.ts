import { RedisChannelStore } from '@nestbox/channels';
import { EventHubOperationError, RedisEventHubStore } from '@nestbox/event-hub';
import { Redis } from '@nestbox/redis';
import {
  eventually,
  startRedis,
  startRedisCluster,
  type TestRedis,
  type TestRedisCluster,
} from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import fc from 'fast-check';
import { Redis as IORedis } from 'ioredis';

let server: TestRedis;
let cluster: TestRedisCluster;
let prefix: string;
let prefixes = 0;
const opened: { close(): Promise<void> }[] = [];
const clients: IORedis[] = [];

beforeAll(async () => {
  Logger.overrideLogger(false);
  [server, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
  for (const { url } of [server, ...cluster.masters]) {
    const client = new IORedis(url, { retryStrategy: () => 20 });
    client.on('error', () => {
      // It is stopped in a test.
    });
    clients.push(client);
  }
});

afterAll(async () => {
  for (const client of clients) client.disconnect();
  await Promise.all([server[Symbol.asyncDispose](), cluster[Symbol.asyncDispose]()]);
});

beforeEach(() => {
  prefix = `app${++prefixes}`;
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});

/** All that there is, on all servers. */
async function keys(): Promise<string[]> {
  return (await Promise.all(clients.map((client) => client.keys(`${prefix}:*`)))).flat();
}

async function resetStatistics(): Promise<void> {
  for (const client of clients) await client.config('RESETSTAT');
}

const EDGES = ['a', 'a:b', '*', '{a}', '{}', '[', '-', '+', '(', 'é', '日本', '\u{FFFF}', '🙂', ' ', '\n'];

describe.each(['a server', 'a cluster'] as const)('on %s', (where) => {
  const source = () =>
    where === 'a server' ? server.url : { cluster: cluster.nodes, unavailableAfter: '10s' as const };

  function open(ttl: number | string = '1d'): RedisEventHubStore {
    const store = new RedisEventHubStore(source(), prefix, { ttl });
    opened.push(store);
    return store;
  }

  function openChannels(ttl: number | string = '1d'): RedisChannelStore {
    const store = new RedisChannelStore(source(), prefix, { ttl });
    opened.push(store);
    return store;
  }

  it('subscribes any channel to any topic, once', async () => {
    const hub = open();
    for (const topic of EDGES) {
      expect(await hub.subscribe(topic, topic)).toBe(true);
      expect(await hub.subscribe(topic, topic)).toBe(true);
      expect(await hub.getChannelIdsForTopic(topic)).toEqual([topic]);
      expect(await hub.getTopicsForChannel(topic)).toEqual([topic]);
      expect(await hub.countForTopic(topic)).toBe(1);
    }
    for (const topic of EDGES) {
      expect(await hub.unsubscribe(topic, topic)).toBe(true);
      expect(await hub.unsubscribe(topic, topic)).toBe(false);
      expect(await hub.getChannelIdsForTopic(topic)).toEqual([]);
    }
    expect(await keys()).toEqual([]);
  });

  it('lists topics by their bytes, by prefix, page by page', async () => {
    const hub = open();
    const topics = [...EDGES, ...EDGES.map((edge) => `of.${edge}`), 'o', 'of', 'og'];
    await Promise.all(topics.map((topic) => hub.subscribe(topic, 'c')));
    const sorted = topics.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const given of ['', 'of.', 'o', 'é', 'none']) {
      const listed: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await hub.listTopics({
          prefix: given,
          limit: 4,
          ...(cursor !== undefined && { cursor }),
        });
        expect(page.topics.length).toBeLessThanOrEqual(4);
        listed.push(...page.topics);
        ({ cursor } = page);
      } while (cursor !== undefined);
      expect(listed).toEqual(sorted.filter((topic) => topic.startsWith(given)));
    }
    await hub.unsubscribeAll('c');
    await hub.unsubscribeAll('unknown');
    expect(await keys()).toEqual([]);
  });

  it('gives the topics of several channels', async () => {
    const hub = open();
    await Promise.all([hub.subscribe('t', 'a'), hub.subscribe('u', 'a'), hub.subscribe('t', 'b')]);
    const topics = await hub.getTopicsForChannels(['a', 'b', 'none', 'a']);
    expect([...topics.keys()].toSorted()).toEqual(['a', 'b']);
    expect(topics.get('a')!.toSorted()).toEqual(['t', 'u']);
    expect(topics.get('b')).toEqual(['t']);
    expect(await hub.getTopicsForChannels([])).toEqual(new Map());
  });

  it('loses the subscriptions of channels that are removed', async () => {
    const [hub, channels] = [open(), openChannels()];
    await channels.addChannel({ channelId: 'a', channelName: 'room', nodeId: 'n' });
    await Promise.all(['t', 'u'].map((topic) => hub.subscribe(topic, 'a')));
    await hub.subscribe('t', 'b');
    await channels.removeChannels(['a', 'b']);
    expect(await keys()).toEqual([]);
  });

  it('forgets channels that never were, also in topics that are in use', async () => {
    const channels = openChannels();
    const [hub, short] = [open(), open(60)];
    await channels.addChannel({ channelId: 'lives', channelName: 'room' });
    await short.subscribe('t', 'never was');
    await short.subscribe('only it', 'never was');
    await hub.subscribe('t', 'lives');
    await eventually(
      async () => {
        await channels.reap();
        expect(await hub.getTopicsForChannel('never was')).toEqual([]);
        expect(await hub.getChannelIdsForTopic('t')).toEqual(['lives']);
        expect(await hub.listTopics()).toEqual({ topics: ['t'] });
      },
      { intervalMs: 30 },
    );
    await channels.removeChannels(['lives']);
    expect(await keys()).toEqual([]);
  });

  it('keeps both sides the same, whatever is done at the same time', async () => {
    const stores = [open(), open()];
    const channels = openChannels();
    const operation = fc.record({
      what: fc.constantFrom('join', 'join', 'leave', 'leaveAll', 'remove'),
      id: fc.constantFrom('a', 'b'),
      topic: fc.constantFrom('x', 'y'),
      at: fc.constantFrom(0, 1),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 30 }), async (operations) => {
        await Promise.all(
          operations.map(({ what, id, topic, at }): Promise<unknown> => {
            const store = stores[at]!;
            if (what === 'join') return store.subscribe(topic, id);
            if (what === 'leave') return store.unsubscribe(topic, id);
            return what === 'leaveAll' ? store.unsubscribeAll(id) : channels.removeChannels([id]);
          }),
        );
        // On a cluster the steps of two processes may cross.
        if (where === 'a cluster') for (let i = 0; i < 17; i++) await channels.reap();
        const found = await stores[0]!.getTopicsForChannels(['a', 'b']);
        for (const topic of ['x', 'y']) {
          for (const id of await stores[0]!.getChannelIdsForTopic(topic)) {
            expect(found.get(id)).toContain(topic);
          }
          if (where === 'a server') {
            for (const [id, topics] of found) {
              const members = await stores[0]!.getChannelIdsForTopic(topic);
              expect(members.includes(id)).toBe(topics.includes(topic));
            }
          }
        }
        await channels.removeChannels(['a', 'b']);
        expect(await keys()).toEqual([]);
      }),
      { numRuns: where === 'a server' ? 60 : 15 },
    );
  });

  it('looks through no keys', async () => {
    await resetStatistics();
    const hub = open();
    await hub.subscribe('t', 'a');
    await hub.listTopics({ prefix: 't' });
    await hub.countForTopic('t');
    await hub.unsubscribeAll('a');
    for (const client of clients) {
      expect(await client.info('commandstats')).not.toMatch(/cmdstat_(keys|scan|sscan):/);
    }
  });

  it('refuses bad input before it asks Redis', async () => {
    await resetStatistics();
    const hub = open();
    const bad: [() => Promise<unknown>, string][] = [
      [() => hub.subscribe('', 'a'), 'topic'],
      [() => hub.subscribe('t', 'a\0'), 'channelId'],
      [() => hub.unsubscribe('x'.repeat(513), 'a'), 'topic'],
      [() => hub.getTopicsForChannels('a' as never), 'channelIds'],
      [() => hub.getTopicsForChannels(['a', '']), 'channelIds[1]'],
      [() => hub.listTopics({ limit: 0 }), 'limit'],
      [() => hub.listTopics({ cursor: '!' }), 'cursor'],
      [() => hub.listTopics({ prefix: '\uD800' }), 'prefix'],
    ];
    for (const [call, path] of bad) {
      await expect(call()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path });
    }
    expect(() => new RedisEventHubStore(source(), '')).toThrow(/keyPrefix/);
    expect(() => new RedisEventHubStore(source(), 'p', { ttl: -1 })).toThrow(/options\.ttl/);
  });
});

describe('connections', () => {
  it('that were passed in are left open, and others closed', async () => {
    const client = new IORedis(server.url);
    const redis = new Redis(server.url);
    for (const given of [client, redis, server.url, { url: server.url }]) {
      const hub = new RedisEventHubStore(given, prefix);
      await hub.init();
      expect(await hub.ping()).toBeGreaterThan(0);
      await hub.subscribe('t', 'a');
      await hub.close();
      await hub.close();
      await expect(hub.subscribe('t', 'a')).rejects.toMatchObject({ code: 'CLOSED' });
    }
    expect(await client.ping()).toBe('PONG');
    await redis.ping();
    await redis.close();
    client.disconnect();
    await new RedisEventHubStore(server.url, prefix).close();
  });

  it('that are lost are told of within two seconds, and made again', async () => {
    const hub = new RedisEventHubStore(server.url, prefix);
    opened.push(hub);
    await hub.subscribe('t', 'a');
    await server.freeze();
    let failure: unknown;
    const started = performance.now();
    try {
      failure = await hub.ping().catch((error: unknown) => error);
    } finally {
      await server.unfreeze();
    }
    expect(failure).toBeInstanceOf(EventHubOperationError);
    expect(performance.now() - started).toBeLessThan(2000);
    await server.kill();
    try {
      const failures = await Promise.all(
        [hub.subscribe('t', 'b'), hub.getChannelIdsForTopic('t'), hub.listTopics()].map(
          (promise: Promise<unknown>) => promise.catch((error: unknown) => error),
        ),
      );
      for (const one of failures) expect(one).toBeInstanceOf(EventHubOperationError);
      expect(failures[0]).toMatchObject({
        message: expect.stringMatching(/^Failed to subscribe channel "b" to topic "t": /),
        topic: 't',
      });
    } finally {
      await server.start();
    }
    await eventually(() => hub.subscribe('t', 'b'));
  });
});
