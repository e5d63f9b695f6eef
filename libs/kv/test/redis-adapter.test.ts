import { KvOperationError, RedisAdapter } from '@nestbox/kv';
import { eventually, startRedis, type TestRedis } from '@nestbox/testing';
import fc from 'fast-check';
import { Redis as IORedis } from 'ioredis';
import type { RedisAdapterOptions } from '../src/redis/redis-options.js';
import { failureOf, numbers, readUntil } from './support/redis.js';

let server: TestRedis;
let raw: IORedis;
let prefix: string;
let prefixes = 0;
const opened: RedisAdapter[] = [];

beforeAll(async () => {
  server = await startRedis();
  raw = new IORedis(server.url);
});

afterAll(async () => {
  await raw.quit();
  await server[Symbol.asyncDispose]();
});

beforeEach(() => {
  prefix = `store${++prefixes}`;
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((adapter) => adapter.close()));
});

function open(options: RedisAdapterOptions = {}, keyPrefix = prefix): RedisAdapter {
  const adapter = new RedisAdapter(server.url, keyPrefix, { sweepInterval: '50ms', ...options });
  opened.push(adapter);
  return adapter;
}

describe('in Redis', () => {
  it('an entry is one string, named by prefix and key', async () => {
    const adapter = open();
    await adapter.set('a', { x: 1 });
    await adapter.set('a', { x: 'ü' });
    const entry = (await adapter.getEntry('a'))!;
    const times = `${entry.createdAt.getTime()};${entry.updatedAt.getTime()}`;
    expect(await raw.get(`${prefix}:a`)).toBe(`kv1;2;${times};;{"x":"ü"}`);
    expect(await raw.pttl(`${prefix}:a`)).toBe(-1);
    await adapter.set('t', 1, { expiry: { ttl: '1h' } });
    const { expiresAt } = (await adapter.getEntry('t'))!;
    expect(await raw.pexpiretime(`${prefix}:t`)).toBe(expiresAt!.getTime());
  });

  it('a permanent entry leaves nothing but its place in the index when it was set', async () => {
    const adapter = open();
    await adapter.set('a', 1);
    await adapter.setMany([{ key: 'b', value: 2 }]);
    expect((await raw.keys(`${prefix}*`)).sort()).toEqual(
      [`${prefix}#changes`, `${prefix}#index`, `${prefix}#meta`, `${prefix}:a`, `${prefix}:b`].sort(),
    );
    expect(await raw.zrange(`${prefix}#index`, '0', '-1')).toEqual(['a', 'b']);
  });

  it('marks of an expiry are gone when the entry is made permanent', async () => {
    const adapter = open({ tombstoneTtl: '1h' });
    await adapter.set('plain', 1, { expiry: { ttl: '1h' } });
    await adapter.set('many', 1, { expiry: { ttl: '1h' } });
    await adapter.set('deleted', 1);
    await adapter.delete('deleted');
    expect(await raw.hgetall(`${prefix}#marks`)).toEqual({ plain: 'e1', many: 'e1', deleted: 't2' });
    await adapter.set('plain', 2);
    await adapter.setMany([{ key: 'many', value: 2 }]);
    await adapter.set('deleted', 2);
    expect(await raw.exists(`${prefix}#marks`, `${prefix}#due`)).toBe(0);
    expect((await adapter.getEntry('deleted'))?.version).toBe(3n);
  });

  it('stores with different prefixes do not see each other', async () => {
    const names = [prefix, `${prefix}*`, `${prefix}?`, `${prefix}[a]`, `${prefix}#x`, `${prefix} ü`];
    const adapters = names.map((name) => open({}, name));
    await Promise.all(adapters.map((adapter, i) => adapter.set('key', i)));
    for (const [i, adapter] of adapters.entries()) expect(await adapter.all()).toEqual({ key: i });
    expect(await adapters[1]!.clear('')).toBe(1);
    expect(await adapters[0]!.all()).toEqual({ key: 0 });
  });

  it.each(['{tag}', 'a{b', 'a}b', '', '\0', 'x'.repeat(513), 5])('refuses %p as a prefix', (bad) => {
    expect(() => new RedisAdapter(server.url, bad as string)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', path: 'keyPrefix' }),
    );
  });

  it.each([
    [{ shards: 0 }, 'options.shards'],
    [{ shards: 1.5 }, 'options.shards'],
    [{ shards: 5000 }, 'options.shards'],
    [{ changes: { maxLength: 0 } }, 'options.changes.maxLength'],
    [{ changes: { maxBytes: '1MB' } }, 'options.changes.maxBytes'],
    [{ changes: { pollInterval: 'often' } }, 'options.changes.pollInterval'],
    [{ maxHistory: -1 }, 'options.maxHistory'],
    [{ sweepInterval: 0 }, 'options.sweepInterval'],
    [{ tombstoneTtl: -1 }, 'options.tombstoneTtl'],
  ])('refuses the options %p', (options, path) => {
    expect(() => new RedisAdapter(server.url, 'kv', options as RedisAdapterOptions)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', path }),
    );
  });
});

describe('what somebody else wrote under the name of an entry', () => {
  beforeEach(async () => {
    await raw.set(`${prefix}:text`, 'hello');
    await raw.set(`${prefix}:number`, '5');
    await raw.set(`${prefix}:broken`, 'kv1;1;1;1;;{');
    await raw.rpush(`${prefix}:list`, 'x');
    await raw.hset(`${prefix}:hash`, 'a', 'b');
  });

  it.each(['text', 'number', 'broken'])('is refused by name when it is read (%s)', async (key) => {
    const adapter = open();
    const error = await failureOf(adapter.get(key));
    expect(error).toBeInstanceOf(KvOperationError);
    expect(error.message).toMatch(
      new RegExp(
        `^Failed to get key "${key}": what Redis holds for key "${key}" was not written by this store`,
      ),
    );
    await expect(adapter.getEntry(key)).rejects.toThrow(`Failed to get key "${key}"`);
    await expect(adapter.getEntries([key])).rejects.toThrow(`"${key}" was not written by this store`);
  });

  it.each(['text', 'number', 'list', 'hash'])('is not written over (%s)', async (key) => {
    const adapter = open();
    const before = await raw.dump(`${prefix}:${key}`);
    const refused = `"${key}" was not written by this store`;
    await expect(adapter.set(key, 1)).rejects.toThrow(`Failed to set key "${key}": `);
    await expect(adapter.set(key, 'long '.repeat(1000))).rejects.toThrow(refused);
    await expect(adapter.set(key, 1, { expiry: { ttl: 1000 } })).rejects.toThrow(refused);
    await expect(adapter.set(key, 1, { ifVersion: 'absent' })).rejects.toThrow(refused);
    await expect(adapter.delete(key)).rejects.toThrow(`Failed to delete key "${key}": `);
    await expect(adapter.increment(key, 1n)).rejects.toThrow(`Failed to increment key "${key}": `);
    expect(await raw.dump(`${prefix}:${key}`)).toEqual(before);
  });

  it('does not hinder other calls that go with the same flush', async () => {
    const adapter = open();
    const results = await Promise.allSettled(
      ['a', 'list', 'b', 'text', 'a'].map((key) => adapter.set(key, key)),
    );
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    expect((await adapter.getEntry('a'))?.version).toBe(2n);
  });

  it('lets nothing of setMany, deleteMany and commit happen', async () => {
    const adapter = open();
    await adapter.set('a', 1);
    const entries = ['a', 'b', 'list'].map((key) => ({ key, value: 2 }));
    await expect(adapter.setMany(entries)).rejects.toThrow(
      'Failed to set keys: what Redis holds for key "list"',
    );
    await expect(adapter.deleteMany(['a', 'hash'])).rejects.toThrow('Failed to delete keys: ');
    await expect(
      adapter.commit([
        { type: 'delete', key: 'a' },
        { type: 'set', key: 'text', value: 1 },
      ]),
    ).rejects.toThrow('Failed to commit: what Redis holds for key "text"');
    expect(await adapter.all()).toEqual({ a: 1 });
    expect((await adapter.getEntry('a'))?.version).toBe(1n);
  });
});

describe('versions', () => {
  it('are not used again after tombstones were forgotten', async () => {
    const adapter = open({ tombstoneTtl: 1 });
    await adapter.setMany(numbers(600).map((i) => ({ key: `k${i}`, value: i })));
    for (const value of numbers(4)) await adapter.set('k7', value);
    await adapter.set('e', 1, { expiry: { ttl: 1 } });
    expect(await adapter.clear('k')).toBe(600);
    await eventually(async () => (await raw.exists(`${prefix}#marks`, `${prefix}#due`)) === 0);
    expect(await adapter.set('k7', 1)).toEqual({ version: 7n });
    expect(await adapter.increment('new', 1n)).toEqual({ value: 1n, version: 7n });
    expect(await adapter.set('e', 1, { ifVersion: 'absent' })).toEqual({ version: 7n });
  });

  it('are kept in the history, as many as wanted', async () => {
    const adapter = open({ maxHistory: 3 });
    for (const value of numbers(5)) await adapter.set('a', value, { recordHistory: true });
    await adapter.delete('a', { recordHistory: true });
    expect((await adapter.history('a', 10)).map(({ version }) => version)).toEqual([6n, 5n, 4n]);
    expect(await adapter.getVersion('a', 3n)).toBeUndefined();
    expect(await adapter.getVersion('a', 5n)).toMatchObject({ value: 4, deleted: false });
  });

  it('go on above the history when the server has evicted all else', async () => {
    const adapter = open();
    await adapter.set('a', 1, { recordHistory: true });
    await adapter.set('a', 2, { recordHistory: true });
    await raw.del(`${prefix}:a`);
    expect(await adapter.set('a', 3, { recordHistory: true })).toEqual({ version: 3n });
    expect(await adapter.history('a', 10)).toHaveLength(3);
  });
});

describe('expiry', () => {
  it('is reported once, however many sweep', async () => {
    const adapters = numbers(4).map(() => open({ sweepInterval: 5 }));
    const feed = await adapters[0]!.openFeed({ prefix: '' });
    await Promise.all(
      numbers(300).map((i) => adapters[i % 4]!.set(`k${i}`, i, { expiry: { ttl: 20 + (i % 50) } })),
    );
    const expired: string[] = [];
    while (expired.length < 300) {
      for (const change of await feed.read()) if (change.expired) expired.push(change.key);
    }
    expect(new Set(expired).size).toBe(300);
    await adapters[0]!.set('end', 1);
    expect((await feed.read()).map(({ key }) => key)).toEqual(['end']);
    expect(await raw.zcard(`${prefix}#index`)).toBe(1);
  });

  it('is not reported for an entry that was set again, for good or longer', async () => {
    const adapter = open({ sweepInterval: '1h' });
    const feed = await adapter.openFeed({ prefix: '' });
    for (const key of ['good', 'longer', 'gone', 'back']) await adapter.set(key, 1, { expiry: { ttl: 30 } });
    await adapter.set('good', 2);
    await adapter.set('longer', 2, { expiry: { ttl: '1h' } });
    await eventually(
      async () => (await adapter.get('gone')) === undefined && (await adapter.get('back')) === undefined,
    );
    await adapter.set('back', 2);
    open({ sweepInterval: 5 });
    await opened.at(-1)!.init();
    const changes = await readUntil(feed, 'gone').then(async (first) => {
      while (!first.at(-1)!.expired) first.push(...(await feed.read()));
      return first;
    });
    expect(changes.filter(({ expired }) => expired).map(({ key, version }) => [key, version])).toEqual([
      ['gone', 2n],
    ]);
    expect(await adapter.all()).toEqual({ good: 2, longer: 2, back: 2 });
  });

  it('by hand of somebody else heals by itself', async () => {
    const adapter = open({ sweepInterval: 5 });
    await adapter.set('longer', 1, { expiry: { ttl: 30 } });
    await raw.persist(`${prefix}:longer`);
    await eventually(async () => Number(await raw.zscore(`${prefix}#due`, 'longer')) > Date.now() + 500);
    expect(await adapter.get('longer')).toBe(1);
    expect((await adapter.list({ limit: 10 })).map(({ key }) => key)).toEqual(['longer']);
  });
});

describe('counters', () => {
  it('add any 64-bit whole numbers exactly', async () => {
    const adapter = open({ changes: false });
    const max = 2n ** 63n - 1n;
    const edge = fc.constantFrom(
      0n,
      1n,
      -1n,
      max,
      -max - 1n,
      2n ** 53n,
      10n ** 12n,
      10n ** 12n - 1n,
      -(10n ** 12n),
    );
    const int64 = fc.oneof(edge, fc.bigInt(-max - 1n, max), fc.bigInt(-(10n ** 13n), 10n ** 13n));
    await fc.assert(
      fc.asyncProperty(int64, int64, async (a, b) => {
        await adapter.delete('n');
        await adapter.increment('n', a);
        const sum = a + b;
        if (sum > max || sum < -max - 1n) {
          await expect(adapter.increment('n', b)).rejects.toMatchObject({ code: 'NOT_A_COUNTER', key: 'n' });
        } else {
          expect((await adapter.increment('n', b)).value).toBe(sum);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('of one key go together in few round trips', async () => {
    const adapter = open();
    const results = await Promise.all(numbers(500).map(() => adapter.increment('n', 1n)));
    expect(results.map(({ value }) => Number(value))).toEqual(numbers(500).map((i) => i + 1));
    expect(results.at(-1)).toEqual({ value: 500n, version: 500n });
  });
});

describe('many', () => {
  it('are written all at once by setMany and deleteMany, also very many', async () => {
    const adapter = open({ changes: { maxLength: 100_000 } });
    const feed = await adapter.openFeed({ prefix: 'k1' });
    const keys = numbers(20_000).map((i) => `k${i}`);
    const versions = await adapter.setMany(keys.map((key, i) => ({ key, value: i })));
    expect(versions.size).toBe(20_000);
    expect(await adapter.stats('')).toMatchObject({ count: 20_000 });
    expect(await adapter.deleteMany(keys)).toBe(20_000);
    await adapter.set('k1 end', 1);
    const changes = await readUntil(feed, 'k1 end');
    expect(changes.filter(({ type }) => type === 'set')).toHaveLength(11_112);
    expect(changes.filter(({ type }) => type === 'delete')).toHaveLength(11_111);
  });

  it('with large values come back as they were', async () => {
    const adapter = open();
    const large = 'ü'.repeat(300_000);
    await Promise.all(numbers(10).map((i) => adapter.set(`k${i}`, { i, large })));
    await Promise.all(numbers(10).map((i) => adapter.set(`k${i}`, { i: i + 1, large })));
    const found = await Promise.all(numbers(10).map((i) => adapter.get(`k${i}`)));
    expect(found).toEqual(numbers(10).map((i) => ({ i: i + 1, large })));
  });
});
