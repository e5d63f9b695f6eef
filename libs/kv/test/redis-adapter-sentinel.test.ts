import { RedisAdapter, type StoredChange } from '@nestbox/kv';
import { eventually, startRedisSentinel, type TestRedisSentinel } from '@nestbox/testing';
import { Logger } from '@nestjs/common';

let group: TestRedisSentinel;

beforeAll(async () => {
  Logger.overrideLogger(false);
  group = await startRedisSentinel();
});

afterAll(() => group[Symbol.asyncDispose]());

describe('behind sentinels', () => {
  it('goes on after a failover: entries, a watch, and fencing tokens', async () => {
    const options = { sentinels: group.sentinels, name: group.name };
    const [adapter, watching] = [new RedisAdapter(options), new RedisAdapter(options)];
    const feed = await watching.openFeed({ prefix: '' });
    const seen: StoredChange[] = [];
    const reading = (async () => {
      while (!seen.some(({ key }) => key === 'end')) seen.push(...(await feed.read()));
    })();
    await adapter.set('a', 1);
    const lease = await adapter.lease('l', { ttl: '1h' });
    const revision = await adapter.revision();
    await eventually(() => seen.length === 1);

    const master = await group.master();
    await master.kill();
    await eventually(() => adapter.set('a', 2), { timeoutMs: 20_000 });
    expect(await group.master()).not.toBe(master);

    expect(await adapter.get('a')).toBe(2);
    expect(await adapter.revision()).toBeGreaterThan(revision);
    await lease.renew();
    expect(await lease.release()).toBe(true);
    const next = await adapter.lease('l', { ttl: '1h' });
    expect(next.fencingToken).toBeGreaterThan(lease.fencingToken);
    await adapter.set('end', 1);
    await reading;
    const versions = seen.filter(({ key }) => key === 'a').map(({ version }) => Number(version));
    expect(versions).toEqual(versions.map((_, i) => i + 1));
    expect(versions.length).toBeGreaterThanOrEqual(2);
    await Promise.all([adapter.close(), watching.close()]);
  });
});
