import { BackplaneError, RedisBackplane } from '@nestbox/channels';
import { Redis } from '@nestbox/redis';
import { eventually, startRedis, type TestRedis } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import { Redis as Driver } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProxy, type Proxy } from '../../redis/test/support/proxy.js';
import type { BackplaneMessage, Position } from '../src/backplane/backplane.js';

let server: TestRedis;
let direct: Redis;
let proxy: Proxy;
let behind: Redis;
const opened: RedisBackplane[] = [];

beforeEach(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  jest.spyOn(Logger.prototype, 'log').mockReturnValue();
  server = await startRedis();
  direct = new Redis(server.url);
  proxy = await startProxy(server.port);
  behind = new Redis(`redis://127.0.0.1:${proxy.port}`);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((backplane) => backplane.close()));
  await Promise.all([direct.close(), behind.close()]);
  await proxy.close();
  await server[Symbol.asyncDispose]();
});

interface Instance {
  backplane: RedisBackplane;
  messages: BackplaneMessage[];
  numbers(topic: string): number[];
  gaps: [string, Position][];
  recoveries: number;
}

async function instance(nodeId: string, source: Redis | Driver): Promise<Instance> {
  const backplane = new RedisBackplane(source);
  opened.push(backplane);
  const one: Instance = {
    backplane,
    messages: [],
    numbers: (topic) =>
      one.messages.flatMap((message) => (message.topic === topic ? [Number(message.payload)] : [])),
    gaps: [],
    recoveries: 0,
  };
  await backplane.open(nodeId, {
    onMessage: (message) => one.messages.push(message),
    onGap: (topic, head) => one.gaps.push([topic, head]),
    onRecovered: () => one.recoveries++,
  });
  return one;
}

const KEEP = { size: 10_000, ttlMs: 60_000 };

function numbered(topic: string, n: number) {
  return { topic, payload: Buffer.from(String(n)), binary: false, except: [] };
}

/** Publishes one number after the other until it is stopped. */
function publishing(one: Instance, topics: string[], pauseMs = 5) {
  let isOn = true;
  let count = 0;
  const run = (async () => {
    while (isOn) {
      count++;
      await Promise.all(topics.map((topic) => one.backplane.publish(numbered(topic, count), KEEP)));
      await sleep(pauseMs);
    }
    return count;
  })();
  return {
    get count() {
      return count;
    },
    stop: () => {
      isOn = false;
      return run;
    },
  };
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

async function failure(act: () => Promise<unknown>): Promise<{ error: unknown; ms: number }> {
  const start = performance.now();
  try {
    await act();
  } catch (error) {
    return { error, ms: performance.now() - start };
  }
  return { error: undefined, ms: performance.now() - start };
}

describe('RedisBackplane', () => {
  it('misses nothing and gives nothing twice when its link is cut while others publish', async () => {
    const [a, b] = [await instance('a', direct), await instance('b', behind)];
    const topics = ['t:1', 't:2', 't:3', 't:4'];
    await Promise.all(topics.map(async (topic) => b.backplane.join(topic)));
    expect(b.backplane.state.status).toBe('up');
    const others = publishing(a, topics);
    await eventually(() => others.count > 20);
    proxy.cut();
    await eventually(() => expect(b.backplane.state).toMatchObject({ status: 'down' }));
    const { error, ms } = await failure(() => b.backplane.publish(numbered('t:1', 0), KEEP));
    expect(error).toBeInstanceOf(BackplaneError);
    expect(ms).toBeLessThan(1800);
    const before = others.count;
    await eventually(() => others.count > before + 100);
    proxy.heal();
    await eventually(() => expect(b.backplane.state).toMatchObject({ status: 'up' }));
    await eventually(() => b.recoveries === 1);
    const count = await others.stop();
    for (const topic of topics) {
      await eventually(() => expect(b.numbers(topic)).toEqual(upTo(count)));
    }
    expect(b.gaps).toEqual([]);
    expect(a.recoveries).toBe(0);
  }, 20_000);

  it('misses nothing when its connections are killed again and again', async () => {
    const [a, b] = [await instance('a', direct), await instance('b', behind)];
    await b.backplane.join('killed');
    const killer = new Driver(server.url);
    const others = publishing(a, ['killed'], 1);
    for (let i = 1; i <= 5; i++) {
      await killer.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await eventually(() => b.recoveries === i);
    }
    killer.disconnect();
    const count = await others.stop();
    await eventually(() => expect(b.numbers('killed')).toEqual(upTo(count)));
    expect(b.gaps).toEqual([]);
  }, 20_000);

  it('tells of what was trimmed while its link was cut, and goes on after it', async () => {
    const [a, b] = [await instance('a', direct), await instance('b', behind)];
    await b.backplane.join('trimmed');
    const keep = { size: 5, ttlMs: 60_000 };
    await a.backplane.publish(numbered('trimmed', 1), keep);
    await eventually(() => b.messages.length === 1);
    proxy.cut();
    await eventually(() => b.backplane.state.status === 'down');
    for (let n = 2; n <= 20; n++) await a.backplane.publish(numbered('trimmed', n), keep);
    proxy.heal();
    await eventually(() => b.numbers('trimmed').at(-1) === 20);
    expect(b.numbers('trimmed')).toEqual([1, 16, 17, 18, 19, 20]);
    expect(b.gaps).toEqual([['trimmed', { epoch: expect.any(String), offset: 20 }]]);
  });

  it('says that it limps while Redis hangs, and loses nothing that was accepted', async () => {
    const [a, b] = [await instance('a', direct), await instance('b', behind)];
    await b.backplane.join('hung');
    await a.backplane.publish(numbered('hung', 1), KEEP);
    await eventually(() => b.messages.length === 1);
    await server.freeze();
    const { error, ms } = await failure(() => a.backplane.publish(numbered('hung', 2), KEEP));
    expect(error).toBeInstanceOf(BackplaneError);
    expect(ms).toBeLessThan(3500);
    expect(a.backplane.state.status).toBe('down');
    await eventually(() => expect(b.backplane.state.status).toBe('down'));
    await server.unfreeze();
    await eventually(() => expect(a.backplane.state.status).toBe('up'));
    await eventually(() => expect(b.backplane.state.status).toBe('up'));
    await a.backplane.publish(numbered('hung', 3), KEEP);
    await eventually(() => b.numbers('hung').at(-1) === 3);
    const { messages } = (await a.backplane.history('hung'))!;
    expect(b.numbers('hung')).toEqual(messages.map(({ payload }) => Number(payload)));
    expect(b.gaps).toEqual([]);
  }, 20_000);

  it('begins a new epoch when Redis has lost its data', async () => {
    const [a, b] = [await instance('a', direct), await instance('b', direct)];
    await b.backplane.join('epochs');
    const first = (await a.backplane.publish(numbered('epochs', 1), KEEP))!;
    await a.backplane.publish(numbered('epochs', 2), KEEP);
    await eventually(() => b.messages.length === 2);
    await server.restart();
    await eventually(() => b.recoveries === 1);
    const next = await eventually(() => a.backplane.publish(numbered('epochs', 3), KEEP));
    expect(next!.offset).toBe(1);
    expect(next!.epoch).not.toBe(first.epoch);
    await eventually(() => expect(b.numbers('epochs')).toEqual([1, 2, 3]));
    // It cannot be known whether the old one went on.
    expect(b.gaps).toEqual([['epochs', next]]);
    const page = await b.backplane.history('epochs', { since: first });
    expect(page).toMatchObject({ complete: false, head: next });
  });

  it('sends nothing twice by a shared client that would', async () => {
    const client = new Driver(`redis://127.0.0.1:${proxy.port}`, { autoResendUnfulfilledCommands: true });
    client.on('error', () => {});
    const [a, b] = [await instance('a', client), await instance('b', direct)];
    await b.backplane.join('once');
    await a.backplane.publish(numbered('once', 1), KEEP);
    proxy.cutOnReply();
    const { error } = await failure(() => a.backplane.publish(numbered('once', 2), KEEP));
    expect(error).toBeInstanceOf(BackplaneError);
    proxy.heal();
    await eventually(() => a.backplane.publish(numbered('once', 3), KEEP));
    await eventually(() => expect(b.numbers('once')).toEqual([1, 2, 3]));
    expect((await b.backplane.history('once'))!.messages).toHaveLength(3);
    client.disconnect();
  });

  it('cannot be opened while Redis is gone, nor be joined, and can afterwards', async () => {
    proxy.cut();
    const backplane = new RedisBackplane(behind);
    opened.push(backplane);
    const receiver = { onMessage: () => {}, onGap: () => {}, onRecovered: () => {} };
    await expect(backplane.open('a', receiver)).rejects.toBeInstanceOf(BackplaneError);
    proxy.heal();
    await eventually(() => backplane.open('a', receiver));
    expect(backplane.state.status).toBe('up');
    proxy.cut();
    await expect(backplane.join('late')).rejects.toBeInstanceOf(BackplaneError);
    proxy.heal();
    await eventually(() => backplane.join('late'));
    // Nor as long as the subscription that it would share is lost.
    proxy.cut();
    await eventually(() => backplane.state.status === 'down');
    backplane.leave('late');
    await expect(backplane.join('late')).rejects.toBeInstanceOf(BackplaneError);
    proxy.heal();
    await eventually(() => backplane.join('late'));
  });

  it('goes on when a receiver throws', async () => {
    const errors = jest.spyOn(Logger.prototype, 'error').mockReturnValue();
    const a = await instance('a', direct);
    const backplane = new RedisBackplane(direct);
    opened.push(backplane);
    const seen: number[] = [];
    await backplane.open('b', {
      onMessage: ({ payload }) => {
        seen.push(Number(payload));
        throw new Error('broken');
      },
      onGap: () => {},
      onRecovered: () => {},
    });
    await backplane.join('throws');
    for (const n of [1, 2]) await a.backplane.publish(numbered('throws', n), n === 1 ? KEEP : undefined);
    await eventually(() => seen.length === 2);
    expect(errors).toHaveBeenCalledTimes(2);
  });
});
