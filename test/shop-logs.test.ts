import { randomUUID } from 'node:crypto';
import { Postgres } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { type RunningShop, startShop } from './support/running-shop.js';

let database: TestDatabase;
let shop: RunningShop;
let postgres: Postgres;

beforeAll(async () => {
  database = await testDatabase();
  postgres = new Postgres(database.url);
  shop = await startShop({ DATABASE_URL: database.url, LOG_LEVEL: 'log', PAYMENT_LATENCY: '1ms' });
});

afterAll(async () => {
  await shop?.[Symbol.asyncDispose]();
  await postgres?.close();
  await database?.drop();
});

interface Line {
  time: string;
  level: string;
  context: string;
  message: string;
  requestId?: string;
  method?: string;
  route?: string;
  status?: number;
  durationMs?: number;
  aborted?: boolean;
}

function linesOf(requestId: string): Line[] {
  return (shop.process.messages as Line[]).filter((line) => line.requestId === requestId);
}

/** The line about the end of a request. */
function accessOf(requestId: string): Promise<Line> {
  return eventually(
    () => linesOf(requestId).find(({ context }) => context === 'Access') ?? false,
  ) as Promise<Line>;
}

describe('The log', () => {
  it('is one JSON object a line, with the time, the level, the context and the message', async () => {
    await shop.get('/products');
    expect(shop.process.messages.length).toBeGreaterThan(0);
    for (const line of shop.process.messages) {
      expect(line).toMatchObject({
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        level: expect.stringMatching(/^(log|warn)$/),
        context: expect.any(String),
        message: expect.any(String),
      });
    }
  });

  it('has a line for each request, with its method, route, status and duration', async () => {
    const requestId = randomUUID();
    const { headers } = await shop.get('/products/any%20thing?x=1', { 'X-Request-Id': requestId });
    expect(headers.get('x-request-id')).toBe(requestId);
    expect(await accessOf(requestId)).toMatchObject({
      level: 'log',
      message: 'GET /products/:id 404',
      method: 'GET',
      route: '/products/:id',
      status: 404,
      durationMs: expect.any(Number),
    });
  });

  it('does not fill with the probes of a load balancer', async () => {
    const requestId = randomUUID();
    await shop.get('/health/live', { 'X-Request-Id': requestId });
    const later = randomUUID();
    await shop.get('/products', { 'X-Request-Id': later });
    await accessOf(later);
    expect(linesOf(requestId)).toEqual([]);
  });

  it('has one for a request that nobody has a route for, and for one that hangs up', async () => {
    const [unknown, stream] = [randomUUID(), randomUUID()];
    await shop.get('/nowhere/at/all', { 'X-Request-Id': unknown });
    expect(await accessOf(unknown)).toMatchObject({ status: 404, route: '(none)' });

    const end = new AbortController();
    const response = await fetch(`${shop.url}/events/any`, {
      headers: { 'X-Request-Id': stream },
      signal: end.signal,
    });
    expect(response.status).toBe(200);
    end.abort();
    expect(await accessOf(stream)).toMatchObject({ route: '/events/:topic', aborted: true });
  });

  it('gives a request an id where it has none, or one that does not fit in a line', async () => {
    for (const given of [undefined, 'two words', 'x'.repeat(201), 'ü']) {
      const { headers } = await shop.get('/products', given === undefined ? {} : { 'X-Request-Id': given });
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it('has the id of the request in the lines of all that it has led to', async () => {
    const requestId = randomUUID();
    await postgres.query('alter table shop.customer rename to gone');
    try {
      const { status } = await shop.get('/customers/any', { 'X-Request-Id': requestId });
      expect(status).toBe(500);
    } finally {
      await postgres.query('alter table shop.gone rename to customer');
    }
    await accessOf(requestId);
    const errors = shop.process.stderr
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line & { stack: string });
    expect(errors.filter((line) => line.requestId === requestId)).toEqual([
      expect.objectContaining({
        level: 'error',
        context: 'Http',
        stack: expect.stringContaining('shop.customer'),
      }),
    ]);
  });

  it('never has the password of the database', async () => {
    const { password } = new URL(database.url);
    await using lost = await startShop({
      DATABASE_URL: database.url,
      REDIS_URL: 'redis://u:very-secret@127.0.0.1:1',
    });
    await lost.get('/health');
    const all = [shop, lost].map(({ process }) => JSON.stringify(process.messages) + process.stderr).join('');
    expect(all).not.toContain('very-secret');
    expect(password === '' || !all.includes(`:${password}@`)).toBe(true);
  });
});
