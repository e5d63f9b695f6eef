import { Redis, RedisUnavailableError } from '@nestbox/redis';
import { eventually, freePort, startRedis, type TestRedis } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import { outcomeOf, pipelined } from './support/outcome.js';
import { startProxy, type Proxy } from './support/proxy.js';

/** What "about a second" may be on a machine that is busy. */
const SOON_MS = 2500;
const AT_ONCE_MS = 300;

let server: TestRedis;
const opened: { close(): Promise<void> }[] = [];
let warnings: jest.SpiedFunction<Logger['warn']>;
let logs: jest.SpiedFunction<Logger['log']>;

function open<T extends { close(): Promise<void> }>(one: T): T {
  opened.push(one);
  return one;
}

beforeAll(async () => {
  server = await startRedis({ appendonly: true });
});
beforeEach(() => {
  warnings = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  logs = jest.spyOn(Logger.prototype, 'log').mockReturnValue();
});
afterEach(async () => {
  await server.unfreeze();
  await server.start();
  await Promise.all(opened.splice(0).map((one) => one.close()));
  jest.restoreAllMocks();
});
afterAll(() => server[Symbol.asyncDispose]());

describe('a Redis that is not there', () => {
  it('fails the first command in about a second, and the next ones at once', async () => {
    const redis = open(new Redis({ host: '127.0.0.1', port: await freePort() }));
    const first = await outcomeOf(() => redis.client.get('a'));
    expect(first.error).toBeInstanceOf(RedisUnavailableError);
    expect(first.error).toMatchObject({
      mayHaveRun: false,
      message: expect.stringMatching(/ECONNREFUSED.*was not run/),
    });
    expect(first.ms).toBeGreaterThan(700);
    expect(first.ms).toBeLessThan(SOON_MS);
    for (const operation of [
      () => redis.client.set('a', '1'),
      () => pipelined(redis),
      () => redis.script({ name: 's', lua: 'return 1' }).run([]),
      () => redis.connect(),
      () => redis.ping(),
      () => redis.scan().next(),
    ]) {
      const { error, ms } = await outcomeOf(operation);
      expect(error).toBeInstanceOf(RedisUnavailableError);
      expect(ms).toBeLessThan(AT_ONCE_MS);
    }
    const subscribing = await outcomeOf(() => redis.subscribe('c', () => {}));
    expect(subscribing.error).toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: expect.stringMatching(/ECONNREFUSED/),
    });
    expect(subscribing.ms).toBeLessThan(SOON_MS);
  });

  it('is found when it appears', async () => {
    await server.stop();
    const redis = open(new Redis({ url: server.url, unavailableAfter: '100ms' }));
    await expect(redis.client.get('a')).rejects.toThrow(RedisUnavailableError);
    await server.start();
    await eventually(() => redis.ping());
    expect(warnings).toHaveBeenCalledTimes(1);
    expect(logs).toHaveBeenCalledTimes(1);
  });

  it('takes the commands that came in time, in their order', async () => {
    await server.stop();
    const redis = open(new Redis({ url: server.url, unavailableAfter: '10s', enableAutoPipelining: false }));
    const { client } = redis;
    const all = [
      client.del('order'),
      ...Array.from({ length: 50 }, (_, i) => client.rpush('order', i)),
      client.multi().rpush('order', 'x').rpush('order', 'y').exec(),
      client.lrange('order', 0, -1),
    ];
    await server.start();
    const results = await Promise.all(all);
    expect(results.at(-1)).toEqual([...Array.from({ length: 50 }, (_, i) => String(i)), 'x', 'y']);
  });

  it('lets only so many commands wait, and all or none of a pipeline', async () => {
    const redis = open(
      new Redis({
        port: await freePort(),
        maxWaitingCommands: 5,
        enableAutoPipelining: false,
        unavailableAfter: '500ms',
      }),
    );
    const waiting = Array.from({ length: 4 }, () => outcomeOf(() => redis.client.get('a')));
    const pipeline = redis.client.pipeline();
    for (let i = 0; i < 10; i++) pipeline.get('a');
    const admitted = pipeline.exec();
    const refused = await outcomeOf(() => redis.client.get('a'));
    expect(refused.error).toMatchObject({ message: expect.stringMatching(/14 commands wait already/) });
    expect(refused.ms).toBeLessThan(AT_ONCE_MS);
    for (const { ms } of await Promise.all(waiting)) expect(ms).toBeGreaterThan(300);
    for (const [error] of (await admitted)!)
      expect(error).toMatchObject({ message: expect.stringMatching(/reachable/) });
  });
});

describe('a Redis that goes away', () => {
  it('fails commands in about a second, logs it once, and works again when it is back', async () => {
    const redis = open(new Redis(server.url));
    await redis.client.set('kept', 'yes');
    await server.kill();
    const { error, ms } = await outcomeOf(() => redis.client.get('kept'));
    expect(error).toBeInstanceOf(RedisUnavailableError);
    expect(ms).toBeLessThan(SOON_MS);
    await eventually(async () => (await outcomeOf(() => redis.client.get('kept'))).ms < 5);
    await server.start();
    expect(await eventually(() => redis.client.get('kept'))).toBe('yes');
    expect(warnings).toHaveBeenCalledTimes(1);
    expect(logs).toHaveBeenCalledTimes(1);
  });

  it('lets callers survive a short restart', async () => {
    const redis = open(new Redis({ url: server.url, unavailableAfter: '10s' }));
    await redis.connect();
    await server.stop();
    await eventually(() => redis.client.status === 'reconnecting');
    const answers = Promise.all(Array.from({ length: 20 }, (_, i) => redis.client.set(`restart:${i}`, i)));
    await server.start();
    expect(await answers).toEqual(Array.from({ length: 20 }, () => 'OK'));
  });

  it('fails commands in time when it hangs, and works again when it goes on', async () => {
    const redis = open(new Redis({ url: server.url, answerTimeout: '300ms' }));
    await redis.connect();
    await server.freeze();
    const hung = await outcomeOf(() => redis.client.set('hung', '1'));
    expect(hung.error).toMatchObject({ code: 'REDIS_UNAVAILABLE', mayHaveRun: true });
    expect(hung.ms).toBeLessThan(SOON_MS);
    await expect(redis.ping(50)).rejects.toMatchObject({ code: 'TIMEOUT' });
    await server.unfreeze();
    expect(await eventually(() => redis.client.set('hung', '2'))).toBe('OK');
  });

  it('fails commands within two seconds by default when it hangs', async () => {
    const redis = open(new Redis(server.url));
    await redis.connect();
    await server.freeze();
    const { error, ms } = await outcomeOf(() => redis.client.get('a'));
    expect(error).toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: expect.stringMatching(/sent nothing for 2000 ms/),
    });
    expect(ms).toBeLessThan(4000);
    await server.unfreeze();
  });
});

describe('a network that loses connections', () => {
  let proxy: Proxy;
  beforeEach(async () => {
    proxy = open(await startProxy(server.port));
  });

  it.each([true, false])(
    'never makes a command or script run twice (pipelined automatically: %s)',
    async (auto) => {
      const direct = open(new Redis(server.url));
      const redis = open(new Redis({ port: proxy.port, enableAutoPipelining: auto }));
      const script = redis.script({ name: 'once', lua: "return redis.call('INCR', KEYS[1])" });
      await script.run(['warm']);
      await direct.client.del('once', 'twice');
      proxy.cutOnReply();
      const outcomes = await Promise.all([
        outcomeOf(() => script.run(['once'])),
        outcomeOf(() => redis.client.incr('twice')),
        outcomeOf(() => redis.client.multi().incr('twice').exec()),
      ]);
      for (const { error } of outcomes)
        expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE', mayHaveRun: true });
      proxy.heal();
      await eventually(() => redis.ping());
      expect(await direct.client.mget('once', 'twice')).toEqual(['1', '2']);
    },
  );

  it('settles commands that are under way as soon as the connection is lost', async () => {
    const redis = open(new Redis({ port: proxy.port }));
    await redis.connect();
    proxy.silence();
    const lost = outcomeOf(() => redis.client.get('a'));
    await new Promise((resolve) => setImmediate(resolve));
    await proxy.close();
    const { error, ms } = await lost;
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE', mayHaveRun: true });
    expect(ms).toBeLessThan(AT_ONCE_MS);
  });

  it('notices a connection that vanished without a trace', async () => {
    const redis = open(new Redis({ port: proxy.port, answerTimeout: '300ms' }));
    await redis.connect();
    proxy.silence();
    const lost = new Promise((resolve) => redis.client.once('reconnecting', resolve));
    await expect(redis.client.get('a')).rejects.toThrow(RedisUnavailableError);
    await lost;
    proxy.heal();
    expect(await eventually(() => redis.client.ping())).toBe('PONG');
  });
});

describe('a master that became a replica', () => {
  it.each([true, false])(
    'is left for the new master, and the refused commands are sent there (pipelined automatically: %s)',
    async (auto) => {
      await using replica = await startRedis({ settings: { replicaof: `127.0.0.1 ${server.port}` } });
      // Stands for a name that leads to the new master after the failover.
      const proxy = open(await startProxy(replica.port));
      const redis = open(new Redis({ port: proxy.port, enableAutoPipelining: auto }));
      await redis.connect();
      proxy.redirect(server.port);
      const writes = Array.from({ length: 10 }, (_, i) => redis.client.set(`moved:${i}`, 'x'));
      expect(await Promise.all(writes)).toEqual(writes.map(() => 'OK'));
    },
  );

  it('never gets a transaction torn apart', async () => {
    await using replica = await startRedis({ settings: { replicaof: `127.0.0.1 ${server.port}` } });
    const proxy = open(await startProxy(replica.port));
    const redis = open(new Redis({ port: proxy.port }));
    await redis.client.get('a');
    proxy.redirect(server.port);
    await expect(redis.client.multi().incr('torn').get('torn').incr('torn').exec()).rejects.toThrow(
      /EXECABORT/,
    );
    expect(await eventually(() => redis.client.incr('torn'))).toBe(1);
  });

  it('is reported when there is no other', async () => {
    await using replica = await startRedis({ settings: { replicaof: `127.0.0.1 ${server.port}` } });
    const redis = open(new Redis(replica.url));
    const { error, ms } = await outcomeOf(() => redis.client.set('refused', '1'));
    expect(error).toMatchObject({ message: expect.stringMatching(/^READONLY/) });
    expect(ms).toBeLessThan(SOON_MS);
    expect(await eventually(() => redis.client.ping())).toBe('PONG');
  });
});
