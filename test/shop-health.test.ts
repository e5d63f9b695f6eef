import { eventually, startPostgres, type TestPostgres } from '@nestbox/testing';
import { EventStream } from './support/event-stream.js';
import { type Reply, type RunningShop, startShop } from './support/running-shop.js';

let postgres: TestPostgres;
let shop: RunningShop;

beforeAll(async () => {
  postgres = await startPostgres();
  const { url } = await postgres.createDatabase();
  shop = await startShop({ DATABASE_URL: url, REQUEST_TIMEOUT: '2s' });
});

afterAll(async () => {
  await shop?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

/** The answer, and how long it took. */
async function health(): Promise<Reply & { ms: number }> {
  const start = performance.now();
  const reply = await shop.get('/health');
  return { ...reply, ms: performance.now() - start };
}

const up = {
  status: 'ok',
  details: {
    postgres: { status: 'up', latencyMs: expect.any(Number) },
    typeorm: { status: 'up' },
    kv: { status: 'up', latencyMs: expect.any(Number) },
    eventStore: { status: 'up' },
    workflows: { status: 'up' },
    channels: { status: 'up' },
    eventHub: { status: 'up' },
  },
};

async function expectDownThenUp(
  goesDown: () => Promise<void>,
  comesBack: () => Promise<void>,
): Promise<void> {
  expect((await health()).json).toMatchObject(up);
  await using stream = await EventStream.open(`${shop.url}/settings/stream`);
  await goesDown();
  try {
    for (let look = 0; look < 3; look++) {
      const down = await health();
      expect(down.status).toBe(503);
      expect(down.ms).toBeLessThan(1500);
      expect(down.json).toMatchObject({
        status: 'error',
        details: {
          postgres: { status: 'down', message: expect.any(String) },
          typeorm: { status: 'down', message: expect.any(String) },
          kv: { status: 'down' },
        },
      });
    }
    // Readiness is about the process: with the database away, no instance could do better.
    expect((await shop.get('/health/ready')).status).toBe(200);
    expect((await shop.get('/health/live')).json).toEqual({ status: 'alive' });
    const refused = await shop.get('/products/any');
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  } finally {
    await comesBack();
  }
  await eventually(async () => expect((await health()).json).toMatchObject(up));
  expect((await shop.put('/products/after', { name: 'After', price: 1 })).status).toBeLessThan(300);
  await shop.put('/settings/after', 'all');
  await eventually(() => expect(stream.changes).toEqual([{ event: 'set', name: 'after', value: 'all' }]));
}

describe('The health of the shop', () => {
  it('is up, with how long the database took', async () => {
    const { status, json, headers } = await health();
    expect(status).toBe(200);
    expect(json).toMatchObject(up);
    expect(headers.get('cache-control')).toBe('no-store');
    expect((await shop.get('/health/ready')).json).toEqual({ status: 'ready' });
  });

  it('is down at once while the database is stopped, and heals by itself', async () => {
    await expectDownThenUp(
      () => postgres.stop(),
      () => postgres.start(),
    );
  });

  it('is down at once while the database hangs, and heals by itself', async () => {
    await expectDownThenUp(
      () => postgres.freeze(),
      () => postgres.unfreeze(),
    );
  });

  it('is down at once after the database crashed, and heals by itself', async () => {
    await expectDownThenUp(
      () => postgres.kill(),
      () => postgres.start(),
    );
  });
});
