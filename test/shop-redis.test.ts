import {
  eventually,
  freePort,
  startRedis,
  testDatabase,
  type TestDatabase,
  type TestRedis,
} from '@nestbox/testing';
import { LiveClient } from './support/live-client.js';
import { type RunningShop, startShop } from './support/running-shop.js';

let database: TestDatabase;
let redis: TestRedis;
/** Two instances on one database and one Redis. */
let shops: [RunningShop, RunningShop];

beforeAll(async () => {
  [database, redis] = await Promise.all([testDatabase(), startRedis()]);
  const env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
  shops = await Promise.all([startShop(env), startShop(env)]);
});

afterAll(async () => {
  await Promise.all((shops ?? []).map((shop) => shop[Symbol.asyncDispose]()));
  await redis?.[Symbol.asyncDispose]();
  await database?.drop();
});

const pen = { name: 'Pen', price: 250, stock: 10 };

describe('The shop with a Redis', () => {
  it('shows at every instance what was written at another one, at once', async () => {
    for (let price = 1; price <= 20; price++) {
      const [writer, reader] = price % 2 === 0 ? shops : shops.toReversed();
      const put = await writer!.put('/products/pen', { ...pen, price });
      const got = await reader!.get('/products/pen');
      expect([got.text, got.headers.get('etag')]).toEqual([put.text, put.headers.get('etag')]);
    }
    await shops[0].delete('/products/pen');
    expect((await shops[1].get('/products/pen')).status).toBe(404);
    await shops[1].put('/products/pen', pen);
    expect((await shops[0].get('/products/pen')).json).toMatchObject(pen);
  });

  it('shows at once what an order has taken', async () => {
    await shops[0].put('/products/ordered', pen);
    await shops[1].get('/products/ordered');
    await shops[0].order('redis', { items: [{ productId: 'ordered', quantity: 4 }] });
    expect((await shops[1].get('/products/ordered')).json).toMatchObject({ stock: 6 });
  });

  it('shows the last state after many writers and readers at once', async () => {
    const path = '/products/busy';
    await shops[0].put(path, pen);
    const written = new AbortController();
    const readers = Array.from({ length: 6 }, async (_, i) => {
      while (!written.signal.aborted) await shops[i % 2]!.get(path);
    });
    await Promise.all(
      Array.from({ length: 4 }, async (_, i) => {
        for (let n = 0; n < 15; n++) await shops[i % 2]!.put(path, { ...pen, price: i * 100 + n });
      }),
    );
    written.abort();
    await Promise.all(readers);
    // A write without conditions, to learn the truth.
    const truth = await shops[0].put(path, pen, { 'If-None-Match': '*' });
    expect(truth.status).toBe(412);
    expect((await shops[1].get(path)).headers.get('etag')).toBe(truth.headers.get('etag'));
  });

  it('reports it in its health, and does without it when it is gone', async () => {
    expect((await shops[0].get('/health')).json).toMatchObject({
      status: 'ok',
      details: { redis: { status: 'up', latencyMs: expect.any(Number) } },
    });
    await shops[0].put('/products/kept', pen);
    await redis.stop();
    const limping = await shops[0].get('/health');
    expect(limping.status).toBe(200);
    expect(limping.json).toMatchObject({ status: 'degraded', details: { redis: { status: 'degraded' } } });
    expect((await shops[0].get('/products/kept')).json).toMatchObject(pen);
    expect((await shops[0].put('/products/kept', { ...pen, price: 1 })).status).toBe(200);
    expect((await shops[1].get('/products/kept')).json).toMatchObject({ price: 1 });
    await redis.start();
    await eventually(async () =>
      expect((await shops[0].get('/health')).json).toMatchObject({ status: 'ok' }),
    );
    await eventually(async () => {
      await shops[0].get('/products/kept');
      expect(shops[0].log).toContain('The cache works again');
    });
  });

  it('tells of what was ordered while it was gone, when it is back', async () => {
    await shops[0].put('/products/told', pen);
    const client = await LiveClient.open(shops[1].url);
    await client.join('orders');
    await redis.stop();
    const order = await shops[0].order('told', { items: [{ productId: 'told', quantity: 1 }] });
    expect(order.status).toBe(201);
    await redis.start();
    const { id } = order.json as { id: string };
    await eventually(
      () => {
        // It has lost all channels, too. Where that is found out first, whoever looks has to come back, and reads.
        if (client.closedWith !== undefined) expect(client.closedWith.code).toBe(1012);
        else expect(client.of('orders')).toContainEqual(expect.objectContaining({ id }));
      },
      { timeoutMs: 30_000 },
    );
    await client.close();
  }, 60_000);

  it('starts also while that is gone', async () => {
    const REDIS_URL = `redis://127.0.0.1:${await freePort()}`;
    await using shop = await startShop({ DATABASE_URL: database.url, REDIS_URL });
    expect((await shop.put('/products/alone', pen)).status).toBe(201);
    expect((await shop.get('/products/alone')).json).toMatchObject(pen);
    expect((await shop.get('/health')).json).toMatchObject({ status: 'degraded' });
    expect(await shop.process.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  });

  it('is not held up by one that hangs', async () => {
    await shops[0].put('/products/hanging', pen);
    await redis.freeze();
    try {
      // The first one waits for the timeout, after which the cache is left alone for a while.
      expect((await shops[0].get('/products/hanging')).status).toBe(200);
      const start = performance.now();
      for (let i = 0; i < 5; i++) expect((await shops[0].get('/products/hanging')).status).toBe(200);
      expect(performance.now() - start).toBeLessThan(1000);
      expect((await shops[0].get('/health')).status).toBe(200);
    } finally {
      await redis.unfreeze();
    }
  });
});
