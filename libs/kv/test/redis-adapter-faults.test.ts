import { KeyValueStore, KvOperationError, RedisAdapter, type StoredChange } from '@nestbox/kv';
import { Redis } from '@nestbox/redis';
import { eventually, spawnFixture, startRedis, type Fixture, type TestRedis } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { Redis as IORedis } from 'ioredis';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { readUntil } from './support/redis.js';

const WRITER = new URL('./fixtures/redis-writer.mjs', import.meta.url);

let server: TestRedis;
let raw: IORedis;
let prefix: string;
let prefixes = 0;
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  Logger.overrideLogger(false);
  server = await startRedis({ appendonly: true, settings: { appendfsync: 'always' } });
  raw = new IORedis(server.url, { retryStrategy: () => 20 });
  raw.on('error', () => {
    // It is stopped in some tests.
  });
});

afterAll(async () => {
  raw.disconnect();
  await server[Symbol.asyncDispose]();
});

beforeEach(() => {
  prefix = `store${++prefixes}`;
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((adapter) => adapter.close()));
});

function open(): RedisAdapter {
  const adapter = new RedisAdapter(server.url, prefix, { sweepInterval: '20ms' });
  opened.push(adapter);
  return adapter;
}

function writer(name: string, rounds: number): Promise<Fixture> {
  return spawnFixture(WRITER, { args: [JSON.stringify(server.url), prefix, name, String(rounds)] });
}

/** All but that of `raw`. */
async function killConnections(): Promise<void> {
  await raw.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
}

/** A way to Redis that can lose a reply, and the connection with it. */
async function startProxy({ hostname, port }: TestRedis) {
  let losing = false;
  const sockets = new Set<Socket>();
  const proxy = createServer((socket) => {
    const upstream = connect(port, hostname);
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      sockets.add(one);
      one.on('error', () => one.destroy());
      one.on('close', () => other.destroy());
    }
    socket.on('data', (data) => upstream.write(data));
    upstream.on('data', (data) => {
      if (losing) socket.destroy();
      else socket.write(data);
      losing = false;
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    loseNextReply: () => {
      losing = true;
    },
    [Symbol.asyncDispose]: async () => {
      proxy.close();
      for (const socket of sockets) socket.destroy();
      await once(proxy, 'close');
    },
  };
}

/** Waits until nothing expires any more, and compares every structure with the entries that there are. */
async function expectConsistent(): Promise<void> {
  await eventually(async () => {
    const keys = (await raw.keys(`${prefix}:*`)).map((name) => name.slice(prefix.length + 1));
    expect((await raw.zrange(`${prefix}#index`, '0', '-1')).sort()).toEqual(keys.sort());
    const marks = await raw.hgetall(`${prefix}#marks`);
    expect((await raw.zrange(`${prefix}#due`, '0', '-1')).sort()).toEqual(Object.keys(marks).sort());
    for (const [key, mark] of Object.entries(marks)) expect(mark.startsWith('e')).toBe(keys.includes(key));
  });
}

/** Checks that the changes of each key tell its whole story. */
function expectWholeStory(changes: StoredChange[]): void {
  const versions = new Map<string, bigint>();
  for (const { key, version } of changes) {
    expect(version).toBe((versions.get(key) ?? 0n) + 1n);
    versions.set(key, version);
  }
  const revisions = changes.map(({ revision }) => revision);
  expect(revisions.every((revision, i) => i === 0 || revision > revisions[i - 1]!)).toBe(true);
}

describe('when Redis is gone', () => {
  it('every operation fails within two seconds, and works when it is back', async () => {
    const adapter = open();
    await adapter.set('a', 1);
    await server.kill();
    try {
      const started = performance.now();
      const failures = await Promise.all(
        [
          adapter.get('a'),
          adapter.set('a', 2),
          adapter.delete('a'),
          adapter.increment('a', 1n),
          adapter.list({ limit: 1 }),
          adapter.setMany([{ key: 'a', value: 1 }]),
          adapter.commit([{ type: 'delete', key: 'a' }]),
          adapter.lease('l', { ttl: '1s' }),
          adapter.openFeed({ prefix: '' }),
          adapter.ping(),
        ].map((call) => (call as Promise<unknown>).catch((error: unknown) => error)),
      );
      expect(performance.now() - started).toBeLessThan(2000);
      for (const error of failures) expect(error).toBeInstanceOf(KvOperationError);
      expect(failures.map((error) => (error as Error).message.replace(/:.*/s, ''))).toEqual([
        'Failed to get key "a"',
        'Failed to set key "a"',
        'Failed to delete key "a"',
        'Failed to increment key "a"',
        'Failed to list keys',
        'Failed to set keys',
        'Failed to commit',
        'Failed to lease "l"',
        'Failed to watch changes',
        'Failed to ping Redis',
      ]);
      expect((failures[0] as Error).message).toMatch(/^Failed to get key "a": Redis \(127\.0\.0\.1:\d+\) /);
    } finally {
      await server.start();
    }
    await eventually(async () => expect(await adapter.get('a')).toBe(1));
    expect(await adapter.set('a', 2)).toEqual({ version: 2n });
  });

  it('an adapter that was never open fails, and opens when it is back', async () => {
    await server.stop();
    const adapter = open();
    try {
      await expect(adapter.get('a')).rejects.toThrow(/^Failed to get key "a": Redis /);
      await expect(adapter.init()).rejects.toThrow(/^Failed to open the Redis store: Redis /);
    } finally {
      await server.start();
    }
    await adapter.init();
    expect(await adapter.get('a')).toBeUndefined();
  });

  it('and hangs, calls fail in time', async () => {
    const adapter = open();
    await adapter.set('a', 1);
    await server.freeze();
    try {
      const started = performance.now();
      await expect(adapter.set('a', 2)).rejects.toThrow('Failed to set key "a": ');
      expect(performance.now() - started).toBeLessThan(4000);
    } finally {
      await server.unfreeze();
    }
    await eventually(async () => expect(await adapter.set('b', 1)).toEqual({ version: 1n }));
  });

  it('can be closed at once', async () => {
    const adapter = open();
    const feed = await adapter.openFeed({ prefix: '' });
    const reading = feed.read().catch((error: unknown) => error);
    await server.kill();
    const started = performance.now();
    await adapter.close();
    expect(performance.now() - started).toBeLessThan(2500);
    expect(await reading).toMatchObject({ code: 'CLOSED' });
    await server.start();
  });
});

describe('a watch', () => {
  it('misses nothing while Redis is killed and started again', async () => {
    const [watching, writing] = [open(), open()];
    const feed = await watching.openFeed({ prefix: '' });
    const reading = readUntil(feed, 'end');
    let written = 0;
    let stop = false;
    const writers = Array.from({ length: 4 }, async (_, i) => {
      while (!stop) {
        const done = await writing.increment(`n${i}`, 1n).then(
          () => true,
          () => false,
        );
        if (done) written++;
      }
    });
    for (let crash = 0; crash < 3; crash++) {
      const before = written;
      await eventually(() => written > before + 50);
      await server.kill();
      await server.start();
    }
    const before = written;
    await eventually(() => written > before + 50);
    stop = true;
    await Promise.all(writers);
    await writing.set('end', 1);
    const changes = await reading;
    expectWholeStory(changes);
    const counted = changes.filter(({ key }) => key !== 'end').length;
    // What was under way when Redis was killed may have happened.
    expect(counted).toBeGreaterThanOrEqual(written);
    expect(counted).toBeLessThanOrEqual(written + 3 * 4);
    expect(changes.find(({ key, version }) => key === 'n0' && version === 1n)).toMatchObject({ value: 1 });
  });

  it('misses nothing while its connections are killed', async () => {
    const [watching, writing] = [open(), open()];
    const feeds = await Promise.all(['', 'k', 'k1'].map((of) => watching.openFeed({ prefix: of })));
    const readings = feeds.map((feed) => readUntil(feed, 'k1 end'));
    for (let i = 0; i < 300; i++) {
      await writing.set(`k${i % 20}`, i);
      if (i % 60 === 30) await killConnections();
      if (i % 60 === 30) await eventually(() => writing.get('k0'));
    }
    await writing.set('k1 end', 1);
    const [all, same, some] = await Promise.all(readings);
    expectWholeStory(all!);
    expect(all).toHaveLength(301);
    expect(same).toEqual(all);
    expect(some).toEqual(all!.filter(({ key }) => key.startsWith('k1')));
  });
});

describe('a write', () => {
  it('is never made twice when its reply is lost with the connection', async () => {
    await using proxy = await startProxy(server);
    const client = new IORedis(proxy.url);
    client.on('error', () => {
      // It is lost on purpose.
    });
    const redis = new Redis(proxy.url);
    const connections = { own: proxy.url, client, redis };
    for (const [key, connection] of Object.entries(connections)) {
      const adapter = new RedisAdapter(connection, prefix);
      opened.push(adapter);
      // So that Redis knows the script.
      await adapter.increment(key, 1n);
      let [value, failures] = [1, 0];
      for (let round = 0; round < 5; round++) {
        await eventually(() => adapter.ping());
        proxy.loseNextReply();
        const calls = await Promise.allSettled(Array.from({ length: 40 }, () => adapter.increment(key, 1n)));
        failures += calls.filter(({ status }) => status === 'rejected').length;
        const now = Number(await eventually(() => adapter.get(key)));
        expect(now).toBeGreaterThan(value);
        expect(now - value).toBeLessThanOrEqual(40);
        value = now;
      }
      expect(failures).toBeGreaterThan(5);
      await adapter.close();
    }
    await redis.close();
    client.disconnect();
  });

  it('of several processes at once is not lost, also when some are killed', async () => {
    const watching = open();
    const feed = await watching.openFeed({ prefix: '' });
    const reading = readUntil(feed, 'end');
    const store = new KeyValueStore({ adapter: open() });
    const fixtures = await Promise.all([writer('a', 100), writer('b', 100), writer('killed', 1_000_000)]);
    const [a, b, killed] = fixtures;
    await killed.waitFor<{ type: string; round: number }>(
      ({ type, round }) => type === 'round' && round > 30,
    );
    await killed.kill();
    await Promise.all([a.waitFor('done', 20_000), b.waitFor('done', 20_000)]);
    const confirmed = killed.messages.filter(
      (message) => (message as { type: string }).type === 'round',
    ).length;
    const ofKilled = Number(await store.increment('counter of killed', 0));
    expect(ofKilled).toBeGreaterThanOrEqual(20 * confirmed);
    expect(ofKilled).toBeLessThanOrEqual(20 * (confirmed + 1));
    expect(await store.get('counter of a')).toBe(2000);
    expect(await store.get('counter of b')).toBe(2000);
    const all = Number(await store.increment('counter', 0));
    expect(all).toBeGreaterThanOrEqual(4000 + 20 * confirmed);
    expect(all).toBeLessThanOrEqual(4000 + 20 * (confirmed + 1));
    await expectConsistent();
    await store.set('end', 1);
    expectWholeStory(await reading);
    await Promise.all(fixtures.map((fixture) => fixture[Symbol.asyncDispose]()));
  });

  it('is complete or not at all after a crash of Redis', async () => {
    const store = new KeyValueStore({ adapter: open() });
    const fixture = await writer('a', 1_000_000);
    for (let crash = 0; crash < 2; crash++) {
      const seen = fixture.messages.length;
      await fixture.waitFor<{ type: string; round: number }>(
        ({ type }) => type === 'round' && fixture.messages.length > seen + 10,
      );
      await server.kill();
      await server.start();
    }
    await fixture.kill();
    await eventually(() => store.has('counter'));
    await expectConsistent();
    const rounds = fixture.messages.filter(
      (message) => (message as { type: string }).type === 'round',
    ).length;
    expect(await store.get<number>('counter of a')).toBeGreaterThanOrEqual(rounds * 20);
  });
});
