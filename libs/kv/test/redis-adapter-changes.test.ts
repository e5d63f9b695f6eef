import { RedisAdapter } from '@nestbox/kv';
import { eventually, startRedis, type TestRedis } from '@nestbox/testing';
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

describe('changes', () => {
  it('are refused to those who ask for trimmed ones', async () => {
    const adapter = open({ changes: { maxLength: 50 } });
    await adapter.set('first', 1);
    const first = await adapter.revision();
    for (const i of numbers(30))
      await adapter.setMany(numbers(10).map((j) => ({ key: `k${i} ${j}`, value: 1 })));
    const error = await failureOf(adapter.openFeed({ prefix: '', fromRevision: first }));
    expect(error).toMatchObject({ code: 'REVISION_TRIMMED', fromRevision: first });
    const { oldestRevision } = error as Error & { oldestRevision: bigint };
    const feed = await adapter.openFeed({ prefix: '', fromRevision: oldestRevision });
    await adapter.set('end', 1);
    const changes = await readUntil(feed, 'end');
    expect(changes[0]!.revision).toBe(oldestRevision);
    expect(changes.length).toBeGreaterThanOrEqual(50);
  });

  it('are kept within the memory that they may take', async () => {
    const adapter = open({ changes: { maxBytes: 1_000_000 } });
    for (const i of numbers(200)) await adapter.set(`k${i % 10}`, 'x'.repeat(50_000));
    expect(await raw.xlen(`${prefix}#changes`)).toBeLessThan(30);
    expect(await raw.memory('USAGE', `${prefix}#changes`)).toBeLessThan(2_000_000);
    for (const i of numbers(3000)) await adapter.set(`k${i % 10}`, i);
    expect(await raw.xlen(`${prefix}#changes`)).toBeGreaterThanOrEqual(3000);
  });

  it('can be read from the middle of those that were made together', async () => {
    const adapter = open();
    const feed = await adapter.openFeed({ prefix: '' });
    await adapter.setMany(numbers(10).map((i) => ({ key: `k${i}`, value: i })));
    await adapter.set('end', 1);
    const all = await readUntil(feed, 'end');
    for (const at of [0, 1, 5, 9, 10]) {
      const resumed = await adapter.openFeed({ prefix: '', fromRevision: all[at]!.revision });
      expect(await readUntil(resumed, 'end')).toEqual(all.slice(at));
    }
  });

  it('wait for a slow reader in Redis, and are all there when it comes', async () => {
    const [adapter, other] = [open(), open()];
    const feed = await adapter.openFeed({ prefix: '' });
    for (const i of numbers(60)) {
      await Promise.all(numbers(100).map((j) => other.set(`k${j}`, [i, 'x'.repeat(10)])));
    }
    await other.set('end', 1);
    const changes = await readUntil(feed, 'end');
    expect(changes).toHaveLength(6001);
    expect(new Set(changes.map(({ revision }) => revision)).size).toBe(6001);
    await other.set('live', 1);
    expect(await feed.read()).toMatchObject([{ key: 'live' }]);
  });

  it('that were trimmed before a slow reader came are an error for it', async () => {
    const adapter = open({ changes: { maxLength: 500 } });
    const slow = await adapter.openFeed({ prefix: '' });
    const quick = await adapter.openFeed({ prefix: 'end' });
    await adapter.set('k', 0);
    for (const i of numbers(40)) await adapter.setMany(numbers(100).map((j) => ({ key: `k${j}`, value: i })));
    await adapter.set('end', 1);
    expect(await quick.read()).toHaveLength(1);
    await expect(readUntil(slow, 'end')).rejects.toMatchObject({ code: 'REVISION_TRIMMED' });
  });

  it('of a store that was lost are refused by their old revision', async () => {
    const adapter = open();
    await adapter.set('a', 1);
    const old = await adapter.revision();
    await raw.del(await raw.keys(`${prefix}*`));
    await adapter.set('b', 1);
    await expect(adapter.openFeed({ prefix: '', fromRevision: old })).rejects.toMatchObject({
      code: 'REVISION_TRIMMED',
    });
    expect(await adapter.revision()).toBeGreaterThan(old);
  });

  it('can be done without', async () => {
    const adapter = open({ changes: false });
    await adapter.set('a', 1);
    await adapter.set('e', 1, { expiry: { ttl: 1 } });
    await eventually(async () => (await raw.zcard(`${prefix}#index`)) === 1);
    expect(await raw.exists(`${prefix}#changes`)).toBe(0);
    await expect(adapter.openFeed({ prefix: '' })).rejects.toMatchObject({ code: 'UNSUPPORTED_OPERATION' });
    // Those of a process that keeps them show that there were others.
    const keeping = open();
    const feed = await keeping.openFeed({ prefix: '' });
    await adapter.set('unseen', 1);
    await keeping.set('seen', 1);
    await expect(feed.read()).rejects.toMatchObject({ code: 'REVISION_TRIMMED' });
  });

  it('need one connection more, as long as somebody watches', async () => {
    const adapter = open();
    await adapter.init();
    const watching = async (): Promise<number> =>
      String(await raw.client('LIST')).match(/name=kv-watch/g)?.length ?? 0;
    expect(await watching()).toBe(0);
    const feeds = await Promise.all(numbers(20).map(() => adapter.openFeed({ prefix: '' })));
    await eventually(async () => (await watching()) === 1);
    await Promise.all(feeds.map((feed) => feed.close()));
    await eventually(async () => (await watching()) === 0);
    const feed = await adapter.openFeed({ prefix: '' });
    await adapter.set('a', 1);
    expect(await feed.read()).toHaveLength(1);
  });
});

describe('leases', () => {
  it('have growing tokens even when the server has lost all', async () => {
    const adapter = open();
    const first = await adapter.lease('l', { ttl: '1h' });
    await raw.del(await raw.keys(`${prefix}*`));
    await expect(first.renew()).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(first.held).toBe(false);
    const second = await adapter.lease('l', { ttl: '1h' });
    expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
    expect(await first.release()).toBe(false);
    expect(second.held).toBe(true);
  });

  it('stop being waited for when the adapter is closed', async () => {
    const adapter = open();
    await adapter.lease('l', { ttl: '1h' });
    const waiting = failureOf(adapter.lease('l', { ttl: '1h', wait: '1h' }));
    await adapter.ping();
    await adapter.close();
    expect(await waiting).toMatchObject({ code: 'CLOSED' });
  });
});
