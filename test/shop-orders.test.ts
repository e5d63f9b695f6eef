import { randomUUID } from 'node:crypto';
import { jest } from '@jest/globals';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { Postgres } from '@nestbox/postgres';
import { type Reply, type RunningShop, startShop } from './support/running-shop.js';
import { somebodyWaits } from './support/somebody-waits.js';

let database: TestDatabase;
let postgres: Postgres;
/** Two instances on one database. */
let shops: [RunningShop, RunningShop];
/** All that were started besides. */
const started: RunningShop[] = [];

/** The shop is started, killed and started again, on a machine that may be busy. */
jest.setTimeout(90_000);

beforeAll(async () => {
  database = await testDatabase();
  postgres = new Postgres(database.url);
  shops = await Promise.all([
    startShop({ DATABASE_URL: database.url }),
    startShop({ DATABASE_URL: database.url }),
  ]);
});

afterAll(async () => {
  await Promise.all([...(shops ?? []), ...started].map((shop) => shop[Symbol.asyncDispose]()));
  await postgres?.close();
  await database?.drop();
});

interface Order {
  id: string;
  total: number;
  items: { productId: string; quantity: number }[];
}

async function stockOf(id: string): Promise<number> {
  return ((await shops[0].get(`/products/${id}`)).json as { stock: number }).stock;
}

/** How many orders there are for a product. */
async function ordersOf(id: string): Promise<number> {
  const [row] = await postgres.query<{ count: string }>(
    `select count(*)::text from event_store.emt_messages
      where message_type = 'ProductSold' and message_data @> $1::text::jsonb`,
    [JSON.stringify({ productId: id })],
  );
  return Number(row!.count);
}

/** A product of which there are some. */
async function stocked(stock: number, price = 100): Promise<string> {
  const id = `product-${randomUUID()}`;
  expect((await shops[0].put(`/products/${id}`, { name: 'Thing', price, stock })).status).toBe(201);
  return id;
}

function bodyOf(replies: readonly Reply[]): string[] {
  return [...new Set(replies.map(({ status, text }) => `${status} ${text}`))];
}

describe('An order', () => {
  it('takes stock, has a price, and can be read', async () => {
    const [a, b] = await Promise.all([stocked(5, 250), stocked(9, 1000)]);
    const items = [
      { productId: a, quantity: 2 },
      { productId: b, quantity: 9 },
    ];
    const reply = await shops[0].order(randomUUID(), { items });
    expect(reply.status).toBe(201);
    const order = reply.json as Order;
    expect(order).toMatchObject({ total: 9500, items });
    expect(reply.headers.get('location')).toBe(`/orders/${order.id}`);
    expect((await shops[1].get(`/orders/${order.id}`)).text).toBe(reply.text);
    expect(await Promise.all([stockOf(a), stockOf(b)])).toEqual([3, 0]);
    expect((await shops[0].get('/orders/none')).status).toBe(404);
  });

  it.each([
    [undefined, 'body'],
    [{}, 'items'],
    [{ items: [] }, 'items'],
    [{ items: [{ productId: 'a', quantity: 0 }] }, 'items[0].quantity'],
    [{ items: [{ quantity: 1 }] }, 'items[0].productId'],
    [{ items: [{ productId: 'a', quantity: 1, price: 1 }] }, 'items[0].price'],
    [{ items: [1, 2].map((quantity) => ({ productId: 'a', quantity })) }, 'items[1].productId'],
  ])('%j is refused with the path', async (body, path) => {
    const reply = await shops[0].order(randomUUID(), body);
    expect(reply.status).toBe(400);
    expect(reply.json).toMatchObject({ errors: [{ in: 'body', path }] });
  });

  it('without an Idempotency-Key is refused', async () => {
    const reply = await shops[0].send('POST', '/orders', {
      body: { items: [{ productId: 'a', quantity: 1 }] },
    });
    expect(reply.status).toBe(400);
    expect(reply.json).toMatchObject({ errors: [{ in: 'header', path: 'idempotency-key' }] });
  });
});

describe('The same Idempotency-Key', () => {
  it('makes one order, however many ask at once, at both instances', async () => {
    const id = await stocked(1000);
    const key = randomUUID();
    const body = { items: [{ productId: id, quantity: 3 }] };
    const replies = await Promise.all(Array.from({ length: 50 }, (_, i) => shops[i % 2]!.order(key, body)));
    expect(bodyOf(replies)).toHaveLength(1);
    expect(replies[0]!.status).toBe(201);
    expect(replies.filter(({ headers }) => headers.get('idempotent-replayed') === null)).toHaveLength(1);
    expect(await stockOf(id)).toBe(997);
    expect(await ordersOf(id)).toBe(1);
  });

  it('is the same quoted and bare, and the body the same however it is written', async () => {
    const id = await stocked(10);
    const key = randomUUID();
    const first = await shops[0].order(`"${key}"`, { items: [{ productId: id, quantity: 1 }] });
    const again = await shops[1].order(key, { items: [{ quantity: 1, productId: id }] });
    expect(bodyOf([first, again])).toHaveLength(1);
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
    expect(await stockOf(id)).toBe(9);
  });

  it('with another body is refused with 422', async () => {
    const id = await stocked(10);
    const key = randomUUID();
    await shops[0].order(key, { items: [{ productId: id, quantity: 1 }] });
    const other = await shops[1].order(key, { items: [{ productId: id, quantity: 2 }] });
    expect(other.status).toBe(422);
    expect(other.json).toMatchObject({ type: expect.stringMatching(/idempotency-key-reused$/) });
    expect(await stockOf(id)).toBe(9);
  });

  it('is given the same refusal, even when the order could be had by now', async () => {
    const id = await stocked(1);
    const [key, other] = [randomUUID(), randomUUID()];
    const body = { items: [{ productId: id, quantity: 2 }] };
    const refused = await shops[0].order(key, body);
    expect(refused.status).toBe(409);
    expect(refused.json).toMatchObject({ errors: [{ path: 'items[0].quantity' }] });
    await shops[0].put(`/products/${id}`, { name: 'Thing', price: 1, stock: 5 });
    expect(bodyOf([refused, await shops[1].order(key, body)])).toHaveLength(1);
    expect((await shops[1].order(other, body)).status).toBe(201);
  });

  it('is given the same refusal of an unknown product', async () => {
    const id = `unknown-${randomUUID()}`;
    const key = randomUUID();
    const body = { items: [{ productId: id, quantity: 1 }] };
    const refused = await shops[0].order(key, body);
    expect(refused.status).toBe(422);
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(refused.json).toMatchObject({ errors: [{ in: 'body', path: 'items[0].productId' }] });
    expect(bodyOf([refused, await shops[1].order(key, body)])).toHaveLength(1);
  });
});

describe('Stock', () => {
  it('is never sold twice, whoever orders at once', async () => {
    const [a, b] = await Promise.all([stocked(20), stocked(30)]);
    const replies = await Promise.all(
      Array.from({ length: 60 }, (_, i) => {
        // In both orders of the two, so that orders would deadlock if they locked as they are written.
        const items = [
          { productId: a, quantity: 1 },
          { productId: b, quantity: 1 },
        ];
        return shops[i % 2]!.order(randomUUID(), { items: i % 3 === 0 ? items : items.toReversed() });
      }),
    );
    const statuses = replies.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(20);
    expect(statuses.filter((status) => status === 409)).toHaveLength(40);
    expect(await Promise.all([stockOf(a), stockOf(b)])).toEqual([0, 10]);
    expect(await ordersOf(a)).toBe(20);
  });

  it('is not lost when the price changes at the same time', async () => {
    const id = await stocked(100);
    const ordered = new AbortController();
    const repricing = (async () => {
      for (let price = 1; !ordered.signal.aborted; price++) {
        const read = await shops[1].get(`/products/${id}`);
        const product = { ...(read.json as object), price };
        await shops[1].put(`/products/${id}`, product, { 'If-Match': read.headers.get('etag')! });
      }
    })();
    const replies = await Promise.all(
      Array.from({ length: 40 }, () =>
        shops[0].order(randomUUID(), { items: [{ productId: id, quantity: 2 }] }),
      ),
    );
    ordered.abort();
    await repricing;
    expect(replies.map(({ status }) => status)).toEqual(Array(40).fill(201));
    expect(await stockOf(id)).toBe(20);
  });
});

describe('A shop that is killed', () => {
  it('in the middle of an order has done nothing of it, and the key still works', async () => {
    const id = await stocked(5);
    const key = randomUUID();
    const body = { items: [{ productId: id, quantity: 1 }] };
    await using doomed = await startShop({ DATABASE_URL: database.url });
    let reply: Promise<Reply | undefined>;
    await postgres.transaction(async (transaction) => {
      // While this row is locked the order's transaction is open.
      await transaction.query(`select 1 from shop.product where id = $1 for update`, [id]);
      reply = doomed.order(key, body).catch(() => undefined);
      await somebodyWaits(postgres);
      await doomed.process.kill('SIGKILL');
      expect(await reply).toBeUndefined();
    });
    expect(await ordersOf(id)).toBe(0);
    expect(await stockOf(id)).toBe(5);
    expect((await shops[0].order(key, body)).status).toBe(201);
    expect(await ordersOf(id)).toBe(1);
    expect(await stockOf(id)).toBe(4);
  });

  it('at any time never loses or doubles an order', async () => {
    const id = await stocked(10_000);
    let doomed = await startShop({ DATABASE_URL: database.url });
    started.push(doomed);
    const { port } = doomed;
    const killed = new AbortController();
    const placed: Reply[] = [];
    const customers = Array.from({ length: 8 }, async () => {
      while (!killed.signal.aborted) {
        const key = randomUUID();
        // As a client should: again and again with the same key, until there is an answer.
        const reply = await eventually(
          () =>
            doomed.order(key, { items: [{ productId: id, quantity: 1 }] }).then((r) => r.status === 201 && r),
          { timeoutMs: 30_000, intervalMs: 20 },
        );
        placed.push(reply as Reply);
      }
    });
    for (let kill = 0; kill < 3; kill++) {
      const before = placed.length;
      await eventually(() => placed.length > before + 20);
      await doomed.process.kill('SIGKILL');
      doomed = await startShop({ DATABASE_URL: database.url, PORT: String(port) });
      started.push(doomed);
    }
    killed.abort();
    await Promise.all(customers);
    expect(new Set(placed.map(({ json }) => (json as Order).id)).size).toBe(placed.length);
    expect(await ordersOf(id)).toBe(placed.length);
    expect(await stockOf(id)).toBe(10_000 - placed.length);
  });
});
