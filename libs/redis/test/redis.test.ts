import { ClosedError, InvalidArgumentError, TimeoutError } from '@nestbox/core';
import { MissingDriverError, Redis, RedisUnavailableError, escapeGlob } from '@nestbox/redis';
import { testRedis } from '@nestbox/testing';
import { Cluster, Redis as IoRedis } from 'ioredis';
import { parseRedisUrl } from '../src/redis-url.js';

let url: string;
let prefix: string;
let redis: Redis;

beforeAll(async () => {
  ({ url, prefix } = await testRedis());
  redis = new Redis(url);
});
afterAll(() => redis.close());

describe('Redis', () => {
  it('connects by itself at the first command', async () => {
    const own = new Redis({ url });
    expect(own.client.status).toBe('wait');
    expect(await own.client.set(`${prefix}a`, '1')).toBe('OK');
    expect(own.mode).toBe('standalone');
    expect(own.isCluster).toBe(false);
    await own.close();
  });

  it('measures a round trip', async () => {
    await redis.connect();
    const ms = await redis.ping();
    expect(ms).toBeGreaterThan(0);
    expect(ms).toBeLessThan(1000);
  });

  it('writes to no other database where the one of its URL is refused', async () => {
    const elsewhere = new URL(url);
    elsewhere.pathname = '/9999';
    const lost = new Redis({ url: elsewhere.href, unavailableAfter: '300ms' });
    const written = lost.client.set(`${prefix}lost`, '1');
    await expect(written).rejects.toThrow(RedisUnavailableError);
    await expect(written).rejects.toThrow(/DB index is out of range/);
    await expect(lost.connect()).rejects.toThrow(/DB index is out of range/);
    expect(await redis.client.get(`${prefix}lost`)).toBeNull();
    await lost.close();
  });

  it('gives one client, and connections of their own', async () => {
    expect(redis.client).toBe(redis.client);
    expect(await redis.masters()).toEqual([redis.client]);
    const own = redis.duplicate('blocking', { blockMs: 5000 });
    expect(own).not.toBe(redis.client);
    const popped = own.blpop(`${prefix}queue`, 5);
    await redis.client.rpush(`${prefix}queue`, 'job');
    expect(await popped).toEqual([`${prefix}queue`, 'job']);
    expect(await own.client('GETNAME')).toBe('blocking');
    own.disconnect();
    expect(() => redis.duplicate('bad name')).toThrow(InvalidArgumentError);
  });

  it('closes what it opened, twice if need be, and before it was used', async () => {
    const own = new Redis(url);
    const { client } = own;
    const dedicated = own.duplicate('other');
    await Promise.all([client.ping(), dedicated.ping()]);
    const last = client.get(`${prefix}none`);
    await Promise.all([own.close(), own.close()]);
    expect(await last).toBeNull();
    expect(client.status).toBe('end');
    expect(dedicated.status).toBe('end');
    expect(() => own.client).toThrow(ClosedError);
    expect(() => own.duplicate('late')).toThrow(ClosedError);
    await expect(own.ping()).rejects.toThrow(ClosedError);
    await expect(own.subscribe('c', () => {})).rejects.toThrow(ClosedError);
    await new Redis(url).close();
  });

  it('never closes a client that was passed in, in whatever form', async () => {
    const client = new IoRedis(url, { maxRetriesPerRequest: 1 });
    for (const options of [client, { client }]) {
      const shared = new Redis(options);
      expect(shared.client).toBe(client);
      const dedicated = shared.duplicate('own');
      await Promise.all([shared.ping(), dedicated.ping()]);
      await shared.close();
      expect(dedicated.status).toBe('end');
    }
    expect(await client.ping()).toBe('PONG');
    client.disconnect();
  });

  it('refuses a client with a key prefix, since SCAN and pub/sub leave it out', () => {
    const client = new IoRedis(url, { keyPrefix: 'x:', lazyConnect: true });
    expect(() => new Redis(client)).toThrow(/Invalid options\.client: has keyPrefix set/);
    const cluster = new Cluster([1], { redisOptions: { keyPrefix: 'x:' }, lazyConnect: true });
    expect(() => new Redis(cluster)).toThrow(/keyPrefix/);
  });
});

describe('options', () => {
  it.each([
    [{}, /Invalid options: do not say where Redis is/],
    [{ url: undefined }, /environment variable/],
    ['localhost:6379', /Invalid options\.url: must be a URL such as redis:/],
    [{ url: 'http://localhost' }, /Invalid options\.url/],
    [{ client: {} }, /Invalid options\.client: is not a client/],
    [{ cluster: [] }, /Invalid options\.cluster/],
    [{ sentinels: [{ host: 'a' }] }, /Invalid options\.name/],
    [{ host: 'a', keyPrefix: 'x' }, /Invalid options\.keyPrefix/],
    [{ host: 'a', maxRetriesPerRequest: null }, /Invalid options\.maxRetriesPerRequest.*unavailableAfter/],
    [{ host: 'a', autoResendUnfulfilledCommands: true }, /would run twice/],
    [
      { cluster: [1], options: { redisOptions: { keyPrefix: 'x' } } },
      /Invalid options\.options\.redisOptions\.keyPrefix/,
    ],
    [{ host: 'a', unavailableAfter: 'soon' }, /Invalid options\.unavailableAfter/],
    [{ host: 'a', maxWaitingCommands: -1 }, /Invalid options\.maxWaitingCommands/],
    [undefined, /Invalid options/],
  ])('refuses %j', (options, message) => {
    const create = (): Redis => new Redis(options as string);
    expect(create).toThrow(InvalidArgumentError);
    expect(create).toThrow(message);
  });

  it('reads URLs', () => {
    expect(parseRedisUrl('redis://localhost')).toEqual({ host: 'localhost', port: 6379 });
    expect(parseRedisUrl('rediss://me:p%40ss@redis.example:7000/3?family=6')).toEqual({
      host: 'redis.example',
      port: 7000,
      username: 'me',
      password: 'p@ss',
      db: 3,
      family: 6,
      tls: {},
    });
    expect(parseRedisUrl('redis://:secret@[::1]:1')).toEqual({ host: '::1', port: 1, password: 'secret' });
    expect(() => parseRedisUrl('redis://a/one')).toThrow(/database that is not a number/);
    expect(() => parseRedisUrl('redis://a?retries=1')).toThrow(/parameter "retries"/);
    expect(() => parseRedisUrl('redis://a:%ff@b')).toThrow(/not encoded/);
  });

  it('never shows a password', () => {
    expect(new Redis('redis://:secret@localhost:1').server).toBe('localhost:1');
    expect(() => new Redis('http://:secret@localhost')).toThrow(/^(?!.*secret)/);
  });

  it('uses the database and the credentials of the URL', async () => {
    const own = new Redis(`${url}/3`);
    const info = await own.client.client('INFO');
    expect(info).toContain(' db=3 ');
    await own.close();
  });
});

describe('errors', () => {
  it('have codes and say what to do', () => {
    expect(new MissingDriverError('ioredis', 'npm install ioredis')).toMatchObject({
      code: 'MISSING_DRIVER',
      message: 'The package "ioredis" is needed but could not be loaded. Install it: npm install ioredis',
    });
    expect(new RedisUnavailableError('h:1', 'did not answer', true)).toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      server: 'h:1',
      mayHaveRun: true,
      message: 'Redis (h:1) did not answer. The command may or may not have run.',
    });
    expect(new TimeoutError('x', 1).code).toBe('TIMEOUT');
  });

  it('of Redis itself are passed on as they are', async () => {
    await redis.client.set(`${prefix}text`, 'x');
    await expect(redis.client.lpush(`${prefix}text`, '1')).rejects.toMatchObject({
      name: 'ReplyError',
      message: expect.stringMatching(/^WRONGTYPE/),
    });
  });
});

describe('scripts', () => {
  it('get complete keys and arguments, and give what they return', async () => {
    const script = redis.script({ name: 'echo', lua: 'return {KEYS[1], ARGV[1], ARGV[2], #KEYS}' });
    expect(await script.run([`${prefix}k`], ['a', 2])).toEqual([`${prefix}k`, 'a', '2', 1]);
    expect(await script.run([`${prefix}k`, 'l'], [Buffer.from('b'), 'c'])).toEqual([
      `${prefix}k`,
      'b',
      'c',
      2,
    ]);
  });

  it('are sent again to a server that forgot them, and run once', async () => {
    const script = redis.script({
      name: 'count',
      lua: "return redis.call('INCR', KEYS[1])",
      numberOfKeys: 1,
    });
    const key = `${prefix}count`;
    expect(await script.run([key])).toBe(1);
    await redis.client.script('FLUSH');
    const results = await Promise.all(Array.from({ length: 20 }, () => script.run([key])));
    expect(results.toSorted((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 2),
    );
  });

  it('take thousands of arguments', async () => {
    const script = redis.script({ name: 'many', lua: 'return #ARGV' });
    expect(
      await script.run(
        [],
        Array.from({ length: 7000 }, (_, i) => i),
      ),
    ).toBe(7000);
  });

  it('refuse a wrong number of keys', async () => {
    const script = redis.script({ name: 'one', lua: 'return 1', numberOfKeys: 1 });
    await expect(script.run([])).rejects.toThrow('Invalid keys: script one takes 1, not 0.');
  });

  it('pass on errors of their own', async () => {
    const script = redis.script({ name: 'bad', lua: "return redis.error_reply('CONFLICT no')" });
    await expect(script.run([])).rejects.toThrow(/^CONFLICT no/);
  });
});

describe('scan', () => {
  it('finds every key that matches, and takes escaped text literally', async () => {
    const odd = `${prefix}[a]*?\\`;
    const keys = Array.from({ length: 250 }, (_, i) => `${odd}:${i}`);
    await redis.client.mset(keys.flatMap((key) => [key, '1']));
    await redis.client.set(`${prefix}axx\\:1`, '1');
    const found = new Set<string>();
    for await (const key of redis.scan({ match: `${escapeGlob(odd)}:*`, count: 20 })) found.add(key);
    expect([...found].toSorted()).toEqual(keys.toSorted());
  });

  it('can be limited to a type', async () => {
    await redis.client.hset(`${prefix}typed:hash`, 'a', '1');
    await redis.client.set(`${prefix}typed:text`, '1');
    const found: string[] = [];
    for await (const key of redis.scan({ match: `${escapeGlob(prefix)}typed:*`, type: 'hash' }))
      found.push(key);
    expect(found).toEqual([`${prefix}typed:hash`]);
  });
});
