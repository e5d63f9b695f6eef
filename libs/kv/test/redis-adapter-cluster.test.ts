import { KvOperationError, RedisAdapter, type StoredChange } from '@nestbox/kv';
import { eventually, startRedisCluster, type TestRedis, type TestRedisCluster } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { Cluster, Redis as IORedis } from 'ioredis';
import { KeySpace } from '../src/redis/key-space.js';
import type { RedisAdapterOptions } from '../src/redis/redis-options.js';
import { numbers, readUntil } from './support/redis.js';

let cluster: TestRedisCluster;
let prefix: string;
let prefixes = 0;
const opened: RedisAdapter[] = [];
const clients = new Map<TestRedis, IORedis>();

beforeAll(async () => {
  Logger.overrideLogger(false);
  cluster = await startRedisCluster({ settings: { appendonly: 'yes' } });
  for (const master of cluster.masters) {
    const client = new IORedis(master.url);
    client.on('error', () => {
      // It is stopped in a test.
    });
    clients.set(master, client);
  }
});

afterAll(async () => {
  for (const client of clients.values()) client.disconnect();
  await cluster[Symbol.asyncDispose]();
});

beforeEach(() => {
  prefix = `store${++prefixes}`;
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((adapter) => adapter.close()));
});

function open(options: RedisAdapterOptions = {}): RedisAdapter {
  const adapter = new RedisAdapter({ cluster: cluster.nodes }, prefix, {
    sweepInterval: '50ms',
    changes: { pollInterval: '20ms' },
    ...options,
  });
  opened.push(adapter);
  return adapter;
}

/** What a server is asked directly. */
function ask(master: TestRedis, ...command: (string | number)[]): Promise<unknown> {
  const [name, ...args] = command;
  return clients.get(master)!.call(String(name), args);
}

/** The slot of a shard, and the master that has it. */
async function home(shard: number): Promise<{ slot: number; master: TestRedis }> {
  const slot = Number(await ask(cluster.masters[0]!, 'CLUSTER', 'KEYSLOT', `{${shard}}`));
  const ranges = (await ask(cluster.masters[0]!, 'CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
  const [, , [, port]] = ranges.find(([first, last]) => slot >= first && slot <= last)!;
  return { slot, master: cluster.masters.find((master) => master.port === port)! };
}

/** Moves a shard to another master, key by key, as `redis-cli --cluster reshard` does. */
async function move(shard: number): Promise<void> {
  const { slot, master: from } = await home(shard);
  const to = cluster.masters[(cluster.masters.indexOf(from) + 1) % cluster.masters.length]!;
  const [fromId, toId] = (await Promise.all([
    ask(from, 'CLUSTER', 'MYID'),
    ask(to, 'CLUSTER', 'MYID'),
  ])) as string[];
  await ask(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId!);
  await ask(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId!);
  for (;;) {
    const keys = (await ask(from, 'CLUSTER', 'GETKEYSINSLOT', slot, 3)) as string[];
    if (keys.length === 0) break;
    await ask(from, 'MIGRATE', to.hostname, to.port, '', 0, 5000, 'KEYS', ...keys);
  }
  for (const master of [to, from, ...cluster.masters])
    await ask(master, 'CLUSTER', 'SETSLOT', slot, 'NODE', toId!);
}

describe('shards', () => {
  it('never move, since entries would be lost', () => {
    const space = new KeySpace('kv', 64);
    const keys = ['', 'a', 'b', 'user:1', 'user:2', 'ü', '日本', '😀', 'a'.repeat(512)];
    expect(keys.map((key) => space.shardOf(key))).toEqual([11, 51, 50, 47, 62, 17, 13, 38, 27]);
    expect(space.entry('user:1')).toBe(`kv:{${space.shardOf('user:1')}}:user:1`);
  });

  it('are chosen by what is in the first braces, as Redis does it', () => {
    const space = new KeySpace('kv', 1024);
    const of = (key: string): number => space.shardOf(key);
    expect(of('{user:1}')).toBe(of('user:1'));
    expect(of('x{user:1}y{z}')).toBe(of('user:1'));
    expect(of('a{b{user:1}')).toBe(of('b{user:1'));
    expect(of('{}user:1')).not.toBe(of('user:1'));
    expect(of('{}{user:1}')).not.toBe(of('user:1'));
    expect(of('user:1}')).not.toBe(of('user:1'));
  });

  it('get about as many keys each', () => {
    const space = new KeySpace('kv', 64);
    const counts = numbers(64).map(() => 0);
    for (const i of numbers(64_000)) counts[space.shardOf(`user:${i}`)]!++;
    expect(Math.min(...counts)).toBeGreaterThan(850);
    expect(Math.max(...counts)).toBeLessThan(1150);
  });

  it('are fixed in number when the store is first used', async () => {
    await open({ shards: 8 }).init();
    await open({ shards: 8 }).init();
    const other = open();
    await expect(other.init()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message:
        `Invalid options.shards: is 64, but the store with the prefix "${prefix}" was created with 8. ` +
        'Use { shards: 8 }, or another prefix and copy the entries with copyTo.',
    });
    await expect(other.get('a')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('hold entries and all that belongs to them', async () => {
    const adapter = open({ shards: 3 });
    await Promise.all(numbers(30).map((i) => adapter.set(`k${i}`, i, { recordHistory: true })));
    await adapter.set('k0', 0, { expiry: { ttl: '1h' } });
    const lease = await adapter.lease('k0', { ttl: '1h' });
    const found = await Promise.all(cluster.masters.map((master) => ask(master, 'KEYS', `${prefix}*`)));
    const names = (found as string[][]).flat().filter((name) => !/#(layout|sweeper)$/.test(name));
    for (const name of names) expect(name).toMatch(/\{[012]\}/);
    expect(names.filter((name) => name.startsWith(`${prefix}:{`))).toHaveLength(30);
    await lease.release();
  });
});

describe('one shard', () => {
  it('does all that a server does', async () => {
    const [adapter, other] = [open({ shards: 1 }), open({ shards: 1 })];
    const feed = await adapter.openFeed({ prefix: '' });
    await other.commit(numbers(5).map((i) => ({ type: 'set', key: `k${i}`, value: i })));
    const changes = await readUntil(feed, 'k4');
    expect(changes.map(({ key }) => key)).toEqual(['k0', 'k1', 'k2', 'k3', 'k4']);
    const again = await other.openFeed({ prefix: '', fromRevision: changes[2]!.revision });
    expect(await again.read()).toEqual(changes.slice(2));
    await adapter.setMany(numbers(3).map((i) => ({ key: `k${i}`, value: i + 1 })));
    expect(await feed.read()).toHaveLength(3);
  });
});

describe('changes of several shards', () => {
  it('are given in one order, from any of them on', async () => {
    const [watching, ...writing] = [open(), open(), open()];
    const feed = await watching.openFeed({ prefix: '' });
    const before = await watching.revision();
    await Promise.all(
      numbers(40).map(async (i) => {
        for (const n of numbers(10)) await writing[(i + n) % 2]!.set(`k${i}`, n);
      }),
    );
    const during = await watching.revision();
    await Promise.all(numbers(40).map((i) => writing[i % 2]!.increment(`k${i}`, 1n)));
    await writing[0].set('end', 1);
    const all = await readUntil(feed, 'end');
    expect(all).toHaveLength(441);
    for (const i of numbers(40)) {
      const versions = all.filter(({ key }) => key === `k${i}`).map(({ version }) => Number(version));
      expect(versions).toEqual(numbers(11).map((n) => n + 1));
    }
    const from = async (fromRevision: bigint): Promise<StoredChange[]> => {
      const resumed = await watching.openFeed({ prefix: '', fromRevision });
      const changes = await readUntil(resumed, 'end');
      await resumed.close();
      return changes;
    };
    for (const at of [0, 1, 200, 440]) expect(await from(all[at]!.revision)).toEqual(all.slice(at));
    expect(await from(all[99]!.revision + 1n)).toEqual(all.slice(100));
    expect(await from(before + 1n)).toEqual(all);
    expect(await from(1n)).toEqual(all);
    expect((await from(during + 1n)).filter(({ version }) => version === 11n)).toHaveLength(40);
  });

  it('are seen soon by the process that made them, whatever the interval', async () => {
    const adapter = open({ changes: { pollInterval: '1h' } });
    const feed = await adapter.openFeed({ prefix: '' });
    await adapter.set('a', 1);
    expect(await feed.read()).toHaveLength(1);
    await adapter.set('b', 1);
    expect(await feed.read()).toHaveLength(1);
  });

  it('wait in Redis for a slow reader', async () => {
    const [watching, writing] = [open(), open()];
    const feed = await watching.openFeed({ prefix: '' });
    for (const n of numbers(40)) {
      await writing.setMany(numbers(100).map((i) => ({ key: `k${i}`, value: n })));
    }
    await writing.set('end', 1);
    const changes = await readUntil(feed, 'end');
    expect(changes).toHaveLength(4001);
    await writing.set('live', 1);
    expect(await feed.read()).toMatchObject([{ key: 'live' }]);
  });
});

describe('while shards are moved to other masters', () => {
  it('nothing is lost, made twice, or not seen', async () => {
    const [adapter, watching] = [open({ shards: 6 }), open({ shards: 6 })];
    const keys = numbers(60).map((i) => `k${i}`);
    await adapter.setMany(keys.map((key) => ({ key, value: 0 })));
    const feed = await watching.openFeed({ prefix: '' });
    const reading = readUntil(feed, 'end');
    let moving = true;
    const confirmed = new Map(keys.map((key) => [key, 0]));
    let failures = 0;
    const writers = numbers(8).map(async (offset) => {
      for (let i = offset; moving; i += 7) {
        const key = keys[i % keys.length]!;
        try {
          await adapter.increment(key, 1n);
          confirmed.set(key, confirmed.get(key)! + 1);
          expect(await adapter.get(key)).toBeGreaterThan(0);
          await adapter.set(`passing ${i % 50}`, i, { expiry: { ttl: 20 } });
        } catch (error) {
          if (!(error instanceof KvOperationError)) throw error;
          failures++;
        }
      }
    });
    const before = [...confirmed.values()].reduce((sum, n) => sum + n, 0);
    for (const shard of numbers(6)) await move(shard);
    await eventually(() => [...confirmed.values()].reduce((sum, n) => sum + n, 0) > before + 100);
    moving = false;
    await Promise.all(writers);
    const entries = await adapter.getEntries(keys);
    let sum = 0;
    for (const [key, count] of confirmed) {
      expect(entries.get(key)!.value).toBeGreaterThanOrEqual(count);
      expect(entries.get(key)!.version).toBe(BigInt(entries.get(key)!.value as number) + 1n);
      sum += (entries.get(key)!.value as number) - count;
    }
    // What failed may have happened, but nothing else.
    expect(sum).toBeLessThanOrEqual(failures);
    expect((await adapter.list({ prefix: 'k', limit: 100 })).map(({ key }) => key)).toEqual([...keys].sort());
    await adapter.set('end', 1);
    const changes = await reading;
    for (const key of keys) {
      const values = changes.filter((change) => change.key === key).map(({ value }) => value);
      expect(values).toEqual(numbers(entries.get(key)!.value as number).map((i) => i + 1));
    }
  });
});

describe('without one of the masters', () => {
  it('its shards fail in time, the others work, and a watch goes on when it is back', async () => {
    const [adapter, watching] = [open({ shards: 12 }), open({ shards: 12 })];
    const keys = numbers(48).map((i) => `k${i}`);
    await adapter.setMany(keys.map((key) => ({ key, value: 0 })));
    const feed = await watching.openFeed({ prefix: '' });
    const reading = readUntil(feed, 'end');
    const lost = cluster.masters[1]!;
    const space = new KeySpace(prefix, 12);
    const homes = await Promise.all(numbers(12).map((shard) => home(shard)));
    const isLost = (key: string): boolean => homes[space.shardOf(key)]!.master === lost;
    await lost.kill();
    try {
      const started = performance.now();
      const results = await Promise.allSettled(keys.map((key) => adapter.set(key, 1)));
      expect(performance.now() - started).toBeLessThan(6000);
      expect(results.map(({ status }) => status === 'rejected')).toEqual(keys.map(isLost));
      for (const [i, result] of results.entries()) {
        if (result.status === 'rejected') {
          expect((result.reason as Error).message).toMatch(new RegExp(`^Failed to set key "${keys[i]}": `));
        }
      }
    } finally {
      await lost.start();
      await cluster.ready();
    }
    const missing = keys.filter(isLost);
    expect(missing.length).toBeGreaterThan(0);
    await eventually(() => adapter.setMany(missing.map((key) => ({ key, value: 1 }))));
    await adapter.set('end', 1);
    const changes = await reading;
    for (const key of keys) {
      const own = changes.filter((change) => change.key === key);
      expect(own.at(-1)).toMatchObject({ value: 1 });
      expect(own.map(({ version }) => Number(version))).toEqual(own.map((_, i) => i + 2));
    }
  });
});

describe('a client that was passed in', () => {
  it('is left open', async () => {
    const client = new Cluster(cluster.nodes);
    const adapter = new RedisAdapter(client, prefix);
    await adapter.set('a', 1);
    expect(await adapter.get('a')).toBe(1);
    await adapter.close();
    expect(await client.ping()).toBe('PONG');
    await client.quit();
  });
});
