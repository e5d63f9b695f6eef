import { RedisBackplane } from '@nestbox/channels';
import { Redis } from '@nestbox/redis';
import { eventually, startRedis, type TestRedis } from '@nestbox/testing';
import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import type { BackplaneMessage, Position } from '../src/backplane/backplane.js';
import { RedisBackplaneKeys, bucketOf } from '../src/backplane/redis/redis-backplane-keys.js';

let server: TestRedis;
let client: Redis;
const opened: RedisBackplane[] = [];

beforeAll(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
  jest.spyOn(Logger.prototype, 'log').mockReturnValue();
  server = await startRedis();
  client = new Redis(server.url);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((backplane) => backplane.close()));
});
afterAll(async () => {
  await client.close();
  await server[Symbol.asyncDispose]();
});

interface Instance {
  backplane: RedisBackplane;
  messages: BackplaneMessage[];
  texts(topic: string): string[];
  gaps: [string, Position][];
  recoveries: number;
}

async function instance(nodeId: string, options: { sharded?: boolean } = {}): Promise<Instance> {
  const backplane = new RedisBackplane(client, options);
  opened.push(backplane);
  const one: Instance = {
    backplane,
    messages: [],
    texts: (topic) =>
      one.messages.flatMap((message) => (message.topic === topic ? [String(message.payload)] : [])),
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

function text(topic: string, payload: string, except: string[] = []) {
  return { topic, payload: Buffer.from(payload), binary: false, except };
}

const KEEP = { size: 100, ttlMs: 60_000 };

describe.each([false, true])('RedisBackplane, sharded: %s', (sharded) => {
  it('carries messages with all that belongs to them, and keeps them where asked', async () => {
    const [a, b] = [await instance('a', { sharded }), await instance('b', { sharded })];
    const topic = `carries:${sharded}`;
    await Promise.all([a.backplane.join(topic), b.backplane.join(topic)]);
    const payload = Buffer.from([0, 255, 1, 254]);
    expect(await a.backplane.publish({ topic, payload, binary: true, except: ['x', 'é'] })).toBeUndefined();
    const first = await a.backplane.publish(text(topic, 'kept'), KEEP);
    expect(first).toEqual({ epoch: expect.any(String), offset: 1 });
    await eventually(() => b.messages.length === 2);
    expect(b.messages).toEqual([
      { topic, payload, binary: true, except: ['x', 'é'], origin: 'a' },
      { topic, payload: Buffer.from('kept'), binary: false, except: [], origin: 'a', position: first },
    ]);
    expect(a.messages).toEqual([b.messages[1]]);
    expect(await b.backplane.head(topic)).toEqual(first);
    expect(await b.backplane.history(topic)).toEqual({
      messages: [b.messages[1]],
      complete: true,
      head: first,
    });
  });

  it('keeps the order of what is not awaited, in many topics at once', async () => {
    const [a, b] = [await instance('a', { sharded }), await instance('b', { sharded })];
    const topics = Array.from({ length: 20 }, (_, i) => `order:${sharded}:${i}`);
    await Promise.all(topics.map(async (topic) => b.backplane.join(topic)));
    const numbers = Array.from({ length: 200 }, (_, i) => String(i));
    await Promise.all(
      numbers.flatMap((n) =>
        topics.map((topic, i) =>
          a.backplane.publish(text(topic, n), i % 2 === 0 ? { size: 1000, ttlMs: 60_000 } : undefined),
        ),
      ),
    );
    await eventually(() => b.messages.length === 4000);
    for (const topic of topics) expect(b.texts(topic)).toEqual(numbers);
    expect(b.gaps).toEqual([]);
  });

  it('leaves no key when the time to live has passed', async () => {
    const a = await instance('a', { sharded });
    const topic = `ttl:${sharded}`;
    const keys = new RedisBackplaneKeys('pikku', 'hub');
    await a.backplane.publish(text(topic, '1'), { size: 5, ttlMs: 2000 });
    expect(await client.client.exists(keys.head(topic), keys.history(topic))).toBe(2);
    await eventually(async () =>
      expect(await client.client.exists(keys.head(topic), keys.history(topic))).toBe(0),
    );
    expect(await a.backplane.head(topic)).toBeUndefined();
    expect(await a.backplane.history(topic)).toBeUndefined();
  });

  it('shares nothing between topics with odd names', async () => {
    const [a, b] = [await instance('a', { sharded }), await instance('b', { sharded })];
    const topics = ['a:b', 'a', 'a:*', '*', '{}', '{a}', 'a{}', '🙂', '🙃', 'head:a', ':'].map(
      (name) => `${name}${sharded ? '' : ' '}`,
    );
    await Promise.all(topics.map(async (topic) => b.backplane.join(topic)));
    for (const topic of topics) {
      expect(await a.backplane.publish(text(topic, topic), KEEP)).toMatchObject({ offset: 1 });
      await a.backplane.publish(text(topic, `plain ${topic}`));
    }
    await eventually(() => b.messages.length === topics.length * 2);
    for (const topic of topics) {
      expect(b.texts(topic)).toEqual([topic, `plain ${topic}`]);
      expect((await a.backplane.history(topic))!.messages).toHaveLength(1);
    }
  });

  it('gives every topic to whoever joins all, and stops when all are left', async () => {
    const [a, b] = [await instance('a', { sharded }), await instance('b', { sharded })];
    await b.backplane.joinAll();
    for (let i = 0; i < 100; i++) {
      await a.backplane.publish(text(`all:${sharded}:${i}`, 'x'), i % 2 === 0 ? KEEP : undefined);
    }
    await eventually(() => b.messages.length === 100);
    await b.backplane.join('left');
    b.backplane.leaveAll();
    await a.backplane.publish(text(`all:${sharded}:1`, 'unheard'));
    await a.backplane.publish(text('left', 'heard'));
    await eventually(() => b.texts('left').length === 1);
    expect(b.messages).toHaveLength(101);
  });

  it('trims by size and says so to whoever reads on from before', async () => {
    const a = await instance('a', { sharded });
    const topic = `trim:${sharded}`;
    let last: Position | undefined;
    for (let i = 1; i <= 10; i++)
      last = await a.backplane.publish(text(topic, String(i)), { size: 3, ttlMs: 60_000 });
    const { epoch } = last!;
    const read = async (since?: Position, limit?: number) => {
      const page = await a.backplane.history(topic, {
        ...(since && { since }),
        ...(limit !== undefined && { limit }),
      });
      return [page!.messages.map(({ payload }) => String(payload)).join(), page!.complete];
    };
    expect(await read()).toEqual(['8,9,10', true]);
    expect(await read(undefined, 2)).toEqual(['9,10', true]);
    expect(await read({ epoch, offset: 7 }, 2)).toEqual(['8,9', true]);
    expect(await read({ epoch, offset: 6 })).toEqual(['8,9,10', false]);
    expect(await read({ epoch, offset: 10 })).toEqual(['', true]);
    expect(await read({ epoch: 'other', offset: 10 })).toEqual(['8,9,10', false]);
    expect(await read(undefined, 0)).toEqual(['', true]);
  });

  it('reads histories that are larger than one reply', async () => {
    const a = await instance('a', { sharded });
    const topic = `large:${sharded}`;
    const payload = Buffer.alloc(300_000, 7);
    for (let i = 0; i < 40; i++)
      await a.backplane.publish({ topic, payload, binary: true, except: [] }, KEEP);
    const page = await a.backplane.history(topic);
    expect(page!.messages.map(({ position }) => position!.offset)).toEqual(
      Array.from({ length: 40 }, (_, i) => i + 1),
    );
    expect(page!.messages.every((message) => message.payload.equals(payload))).toBe(true);
  });
});

describe('the buckets', () => {
  it('are used evenly', () => {
    const counts = new Map<number, number>();
    for (let i = 0; i < 6400; i++) {
      const bucket = bucketOf(`orders.${i}`);
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
    }
    expect(counts.size).toBe(64);
    expect(Math.max(...counts.values())).toBeLessThan(200);
  });
});

describe('bad input', () => {
  it('is refused before anything is sent', async () => {
    expect(() => new RedisBackplane(client, { prefix: 'a{}' })).toThrow('options.prefix');
    const a = await instance('a');
    expect(() => a.backplane.join('')).toThrow('topic');
    await expect(a.backplane.publish(text('\0', ''))).rejects.toThrow('topic');
    await expect(a.backplane.publish(text('a', ''), { size: 0, ttlMs: 1 })).rejects.toThrow('retention.size');
    const unopened = new RedisBackplane(client);
    await expect(unopened.publish(text('a', ''))).rejects.toThrow('is not open');
    expect(unopened.state.status).toBe('idle');
    await unopened.close();
    await unopened.close();
  });
});
