import { RedisChannelStore, redisSubscriptions } from '@nestbox/channels';
import { eventually, startRedis, type TestRedis } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import fc from 'fast-check';
import { Redis as IORedis } from 'ioredis';

let server: TestRedis;
let raw: IORedis;
let prefix: string;
let prefixes = 0;
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  Logger.overrideLogger(false);
  server = await startRedis();
  raw = new IORedis(server.url);
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

/** A busy machine may take its time to connect. */
const source = () => ({ url: server.url, unavailableAfter: '10s' }) as const;

function open(options?: ConstructorParameters<typeof RedisChannelStore>[2]): RedisChannelStore {
  const store = new RedisChannelStore(source(), prefix, options);
  opened.push(store);
  return store;
}

function openSubscriptions(ttlMs = 60_000) {
  const connection = redisSubscriptions(source(), prefix, ttlMs);
  opened.push(connection);
  return connection.subscriptions;
}

function keys(): Promise<string[]> {
  return raw.keys(`${prefix}:*`);
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

describe('keys', () => {
  it('are those that the documentation names', async () => {
    const store = open();
    await store.addChannel({ channelId: 'a', channelName: 'room', openingData: { x: 1 }, nodeId: 'n' });
    await store.setUserSession('a', { userId: 7 });
    await openSubscriptions().join('t', 'a');
    await store.heartbeat('n', 60_000);
    const expected = ['channel:a', 'ids', 'node:n', 'nodes', 'subs:a', 'topic:t', 'topics', 'user:7'];
    expect((await keys()).sort()).toEqual(expected.map((key) => `${prefix}:${key}`));
    expect(await raw.hgetall(`${prefix}:channel:a`)).toEqual({
      channelId: 'a',
      channelName: 'room',
      openingData: '{"x":1}',
      userSession: '{"userId":7}',
      createdAt: expect.stringMatching(/^\d{13}$/),
      lastInteraction: expect.stringMatching(/^\d{13}$/),
      nodeId: 'n',
      userId: '7',
    });
    for (const key of await keys()) expect(await raw.pttl(key)).toBeGreaterThan(0);
  });

  it('of different things never meet, whatever these are called', async () => {
    const store = open();
    const names = ['a', 'x:a', 'node:a', 'channel:a', ':', '{a}', '*', '🙂'];
    for (const name of names) {
      await store.addChannel({ channelId: name, channelName: name, nodeId: name });
      await store.setUserSession(name, { userId: name, name });
      await openSubscriptions().join(name, name);
    }
    for (const name of names) {
      expect(await store.getChannelAndSession(name)).toMatchObject({
        channelName: name,
        session: { name },
      });
      expect(await store.findByUser(name)).toEqual([name]);
    }
    await store.removeChannels(names);
    expect(await keys()).toEqual([]);
  });

  it('begin with a prefix that is checked', () => {
    for (const wrong of ['', 'a\0', 'x'.repeat(513), 5 as never]) {
      expect(() => new RedisChannelStore(server.url, wrong)).toThrow(/keyPrefix/);
    }
    expect(() => open({ ttl: 'soon' })).toThrow(/options\.ttl/);
    expect(() => open({ userKey: '' })).toThrow(/options\.userKey/);
  });
});

describe('removing', () => {
  it('leaves nothing behind', async () => {
    const store = open();
    const subscriptions = openSubscriptions();
    const ids = numbers(40).map((i) => `c${i}`);
    await Promise.all(
      ids.map(async (id, i) => {
        await store.addChannel({ channelId: id, channelName: 'room', nodeId: `n${i % 3}` });
        await store.setUserSession(id, { userId: `u${i % 5}` });
        await store.setUserSession(id, { userId: `u${i % 7}` });
        for (const topic of ['x', `t${i % 4}`]) await subscriptions.join(topic, id);
      }),
    );
    await store.addChannel({ channelId: 'c0', channelName: 'moved', nodeId: 'n9' });
    await store.removeChannels(ids);
    expect(await keys()).toEqual([]);
  });

  it('takes 10,000 at once in pieces between which the server answers', async () => {
    const store = open();
    const subscriptions = openSubscriptions();
    const ids = numbers(10_000).map((i) => `c${i}`);
    await Promise.all(ids.map((channelId) => store.addChannel({ channelId, channelName: 'room' })));
    await Promise.all(ids.map((id, i) => subscriptions.join(`t${i % 100}`, id)));
    const scripts = async () =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await raw.info('commandstats'))![1]);
    const before = await scripts();
    let done = false;
    let answers = 0;
    const removing = store.removeChannels(ids).finally(() => {
      done = true;
    });
    for (; !done; answers++) await raw.ping();
    await removing;
    // Not by the time that an answer took, which on a busy machine says nothing about the server.
    expect((await scripts()) - before).toBeGreaterThanOrEqual(ids.length / 250);
    expect(answers).toBeGreaterThan(10);
    expect(await keys()).toEqual([]);
  });
});

describe('what a crash leaves behind', () => {
  it('expires as a whole', async () => {
    // Enough to have written it all before the first of it expires.
    const ttl = 2000;
    const store = open({ ttl });
    const subscriptions = openSubscriptions(ttl);
    await store.addChannel({ channelId: 'a', channelName: 'room', nodeId: 'n' });
    await store.setUserSession('a', { userId: 'u' });
    await subscriptions.join('t', 'a');
    await subscriptions.join('t', 'never added');
    await store.heartbeat('n', 1);
    for (const key of await keys()) {
      if (!key.includes('node')) expect(await raw.pttl(key)).toBeLessThanOrEqual(ttl);
    }
    await eventually(async () => expect((await keys()).filter((key) => !key.includes('node'))).toEqual([]));
    await store.reap();
    expect(await keys()).toEqual([]);
  });

  it('is taken out from among what is in use', async () => {
    const store = open();
    const subscriptions = openSubscriptions();
    for (const channelId of ['lives', 'gone']) {
      await store.addChannel({ channelId, channelName: 'room' });
      await store.setUserSession(channelId, { userId: 'u' });
      await subscriptions.join('t', channelId);
      await subscriptions.join(`t of ${channelId}`, channelId);
    }
    await raw.del(`${prefix}:channel:gone`, `${prefix}:subs:gone`);
    expect(await store.findByUser('u')).toEqual(['lives']);
    await store.reap();
    expect(await raw.zrange(`${prefix}:ids`, '0', '-1')).toEqual(['lives']);
    expect(await subscriptions.channelsOf('t')).toEqual(['lives']);
    expect(await subscriptions.list({ prefix: '', after: undefined, limit: 10 })).toEqual({
      topics: ['t', 't of lives'],
      after: undefined,
    });
    await store.removeChannels(['lives']);
    expect(await keys()).toEqual([]);
  });

  it('is found in topics of any size, some at a time', async () => {
    const store = open();
    const subscriptions = openSubscriptions();
    await Promise.all(numbers(3000).map((i) => subscriptions.join('big', `c${i}`)));
    await Promise.all(numbers(100).map((i) => subscriptions.join(`t${i}`, `d${i}`)));
    await raw.del(...numbers(2900).map((i) => `${prefix}:subs:c${i}`));
    await raw.del(...numbers(100).map((i) => `${prefix}:subs:d${i}`));
    await eventually(async () => {
      await store.reap();
      expect(await subscriptions.count('big')).toBe(100);
      expect(await raw.zrange(`${prefix}:topics`, '0', '-1')).toEqual(['big']);
    });
  });

  it('lives on while it is touched, with its topics', async () => {
    const store = open();
    const subscriptions = openSubscriptions(86_400_000);
    await store.addChannel({ channelId: 'a', channelName: 'room', nodeId: 'n' });
    await store.setUserSession('a', { userId: 'u' });
    await subscriptions.join('t', 'a');
    const all = await keys();
    for (const key of all) await raw.pexpire(key, 60_000);
    await store.touch(['a', 'unknown']);
    for (const key of all) expect([key, (await raw.pttl(key)) > 60_000]).toEqual([key, true]);
    expect(await subscriptions.channelsOf('t')).toEqual(['a']);
    expect(await store.findByUser('u')).toEqual(['a']);
    expect(await store.count()).toBe(1);
    expect(await store.releaseNode('n')).toEqual(['a']);
    expect(await keys()).toEqual([]);
  });
});

describe('instances', () => {
  it('that died are given to one caller each, every channel once', async () => {
    const stores = numbers(4).map(() => open());
    const ids = numbers(1200).map((i) => `c${i}`);
    await Promise.all(
      ids.map((id, i) => stores[0]!.addChannel({ channelId: id, channelName: 'r', nodeId: `n${i % 3}` })),
    );
    for (const node of ['n0', 'n1', 'n2']) await stores[0]!.heartbeat(node, node === 'n2' ? 60_000 : 1);
    const reaped: string[] = [];
    await eventually(async () => {
      const results = await Promise.all(stores.map((store) => store.reap()));
      reaped.push(...results.flat().flatMap(({ channelIds }) => channelIds));
      expect(reaped).toHaveLength(800);
    });
    expect(new Set(reaped).size).toBe(800);
    expect(await stores[1]!.count()).toBe(400);
    expect(await stores[1]!.nodes()).toMatchObject([{ nodeId: 'n2', channels: 400 }]);
    expect(await stores[1]!.heartbeat('n0', 1000)).toBe(false);
    expect(await stores[1]!.heartbeat('n0', 1000)).toBe(true);
  });

  it('whose reaper died are finished by the next one', async () => {
    const store = open();
    for (const channelId of ['a', 'b']) {
      await store.addChannel({ channelId, channelName: 'room', nodeId: 'n' });
    }
    // As the one who claimed it left it.
    await raw.zadd(`${prefix}:nodes`, Date.now() + 60_000, '\0n');
    expect(await store.reap()).toEqual([]);
    expect(await store.heartbeat('n', 1000)).toBe(false);
    expect(await store.nodes()).toEqual([]);
    await raw.zadd(`${prefix}:nodes`, Date.now() - 1, '\0n');
    const [reaped] = await store.reap();
    expect({ ...reaped, channelIds: reaped!.channelIds.sort() }).toEqual({
      nodeId: 'n',
      channelIds: ['a', 'b'],
    });
    expect(await keys()).toEqual([]);
  });
});

describe('operations of all kinds at the same time', () => {
  it('leave nothing on one side only', async () => {
    const operation = fc.record({
      what: fc.constantFrom(
        'add',
        'remove',
        'session',
        'touch',
        'join',
        'leave',
        'leaveAll',
        'stale',
        'reap',
      ),
      id: fc.constantFrom('a', 'b', 'c'),
      other: fc.constantFrom('x', 'y'),
    });
    const stores = [open(), open()];
    const subscriptions = [openSubscriptions(), openSubscriptions()];
    const run = (
      at: number,
      { what, id, other }: { what: string; id: string; other: string },
    ): Promise<unknown> => {
      const store = stores[at]!;
      switch (what) {
        case 'add':
          return store.addChannel({ channelId: id, channelName: 'room', nodeId: other });
        case 'session':
          return store.setUserSession(id, { userId: other }).catch(() => undefined);
        case 'touch':
          return store.touch([id]);
        case 'join':
          return subscriptions[at]!.join(other, id);
        case 'leave':
          return subscriptions[at]!.leave(other, id);
        case 'leaveAll':
          return subscriptions[at]!.leaveAll(id);
        case 'stale':
          return store.removeStale(1);
        case 'reap':
          return store.releaseNode(other);
        default:
          return store.removeChannels([id]);
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
        await Promise.all(operations.map((one, i) => run(i % 2, one)));
        for (const id of ['a', 'b', 'c']) {
          const channel = await raw.hgetall(`${prefix}:channel:${id}`);
          const exists = channel['channelId'] === id;
          expect(await raw.zscore(`${prefix}:ids`, id)).toBe(exists ? '0' : null);
          for (const other of ['x', 'y']) {
            const is = async (set: string, member: string): Promise<boolean> =>
              (await raw.sismember(`${prefix}:${set}`, member)) === 1;
            expect(await is(`node:${other}`, id)).toBe(channel['nodeId'] === other);
            expect(await is(`user:${other}`, id)).toBe(channel['userId'] === other);
            expect(await is(`topic:${other}`, id)).toBe(await is(`subs:${id}`, other));
          }
        }
        await stores[0]!.removeChannels(['a', 'b', 'c']);
        expect(await keys()).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('commands', () => {
  it('never look through all keys', async () => {
    await raw.config('RESETSTAT');
    const store = open();
    await store.addChannel({ channelId: 'a', channelName: 'room', nodeId: 'n' });
    await openSubscriptions().join('t', 'a');
    await store.list({ name: 'room' });
    await store.count();
    await store.heartbeat('n', 1);
    await store.reap();
    await store.removeStale('1h');
    await store.releaseNode('n');
    expect(await raw.info('commandstats')).not.toMatch(/cmdstat_(keys|scan):/);
  });
});
