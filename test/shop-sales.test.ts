import { randomUUID } from 'node:crypto';
import { Postgres } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { type Cart, Customer, type HistoryEntry } from './support/customer.js';
import { LiveClient } from './support/live-client.js';
import { type RunningShop, startShop } from './support/running-shop.js';
import { somebodyWaits } from './support/somebody-waits.js';

let database: TestDatabase;
let postgres: Postgres;
/** Two instances on one database. */
let shops: [RunningShop, RunningShop];
let customer: Customer;

beforeAll(async () => {
  database = await testDatabase();
  postgres = new Postgres(database.url);
  shops = await Promise.all([
    startShop({ DATABASE_URL: database.url }),
    startShop({ DATABASE_URL: database.url }),
  ]);
  customer = new Customer(shops);
});

afterAll(async () => {
  await Promise.all((shops ?? []).map((shop) => shop[Symbol.asyncDispose]()));
  await postgres?.close();
  await database?.drop();
});

interface Sales {
  productId: string;
  quantity: number;
  revenue: number;
  orders: number;
  position: string;
}

/** All that was sold, by product. */
async function sales(shop = shops[0]): Promise<Map<string, Sales>> {
  const all = new Map<string, Sales>();
  let path: string | undefined = '/sales?limit=3';
  while (path !== undefined) {
    const reply = await shop.get(path);
    expect(reply.status).toBe(200);
    for (const product of (reply.json as { products: Sales[] }).products) all.set(product.productId, product);
    path = /<(.*)>; rel="next"/.exec(reply.headers.get('link') ?? '')?.[1];
  }
  return all;
}

describe('A confirmed cart', () => {
  it('is an order that took the stock, and does not change any more', async () => {
    const pen = await customer.stocked(5, 250);
    const path = await customer.opened();
    await customer.add(path, pen, { quantity: 2 });
    const confirmed = await customer.confirm(path, shops[1]);
    expect(confirmed.json).toMatchObject({ status: 'confirmed', total: 500, version: 3 });
    const { orderId, id } = confirmed.json as Cart;
    expect(confirmed.headers.get('link')).toBe(`</orders/${orderId}>; rel="related"`);
    expect((await shops[0].get(`/orders/${orderId}`)).json).toMatchObject({
      id: orderId,
      cartId: id,
      total: 500,
      items: [{ productId: pen, name: 'Thing', quantity: 2, unitPrice: 250 }],
    });
    expect(await customer.stockOf(pen)).toBe(3);
    expect((await customer.confirm(path)).text).toBe(confirmed.text);
    for (const reply of [await customer.add(path, pen), await shops[0].delete(`${path}/items/${pen}`)]) {
      expect(reply.json).toMatchObject({ status: 409, type: expect.stringMatching(/cart-confirmed$/) });
    }
    expect(await customer.stockOf(pen)).toBe(3);
  });

  it('is one order, however many confirm it at once, at both instances', async () => {
    const pen = await customer.stocked(50);
    const path = await customer.opened();
    await customer.add(path, pen, { quantity: 3 });
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) => customer.confirm(path, shops[i % 2])),
    );
    expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(replies[0]!.status).toBe(200);
    expect(await customer.stockOf(pen)).toBe(47);
  });

  it('has exactly what was added before, when others go on adding meanwhile', async () => {
    const pen = await customer.stocked(1000);
    const path = await customer.opened();
    await customer.add(path, pen);
    const [confirmed, ...added] = await Promise.all([
      customer.confirm(path, shops[1]),
      ...Array.from({ length: 20 }, () => customer.add(path, pen)),
    ]);
    expect(confirmed.status).toBe(200);
    const got = added.filter(({ status }) => status === 200).length;
    expect(added.filter(({ status }) => status === 409)).toHaveLength(20 - got);
    const { items, orderId } = confirmed.json as Cart;
    expect(items[0]!.quantity).toBe(got + 1);
    expect((await shops[0].get(`/orders/${orderId}`)).json).toMatchObject({ items });
    expect(await customer.stockOf(pen)).toBe(1000 - got - 1);
  });

  it('is not had with nothing in it, nor with more than there is', async () => {
    const pen = await customer.stocked(1);
    const path = await customer.opened();
    expect((await customer.confirm(path)).json).toMatchObject({
      status: 409,
      type: expect.stringMatching(/cart-empty$/),
    });
    await customer.add(path, pen, { quantity: 2 });
    const short = await customer.confirm(path);
    expect(short.status).toBe(409);
    expect(short.json).toMatchObject({ type: expect.stringMatching(/out-of-stock$/) });
    expect((await shops[0].get(path)).json).toMatchObject({ status: 'open', version: 2 });
    await shops[0].delete(`${path}/items/${pen}?quantity=1`);
    expect((await customer.confirm(path)).status).toBe(200);
    expect(await customer.stockOf(pen)).toBe(0);
  });

  it('is still open, with the stock untouched, when the shop was killed in the middle', async () => {
    const pen = await customer.stocked(5);
    const path = await customer.opened();
    await customer.add(path, pen, { quantity: 2 });
    await using doomed = await startShop({ DATABASE_URL: database.url });
    await postgres.transaction(async (transaction) => {
      await transaction.query(`select 1 from shop.product where id = $1 for update`, [pen]);
      const reply = customer.confirm(path, doomed).catch(() => undefined);
      await somebodyWaits(postgres);
      await doomed.process.kill('SIGKILL');
      expect(await reply).toBeUndefined();
    });
    expect((await shops[0].get(path)).json).toMatchObject({ status: 'open', version: 2 });
    expect(await customer.stockOf(pen)).toBe(5);
    expect((await customer.confirm(path)).status).toBe(200);
    expect(await customer.stockOf(pen)).toBe(3);
  });
});

describe('The sales', () => {
  it('count each line of carts and orders once, also when instances are killed that count them', async () => {
    const products = await Promise.all([
      customer.stocked(1000, 10),
      customer.stocked(1000, 20),
      customer.stocked(1000, 30),
    ]);
    let doomed = await startShop({ DATABASE_URL: database.url });
    try {
      for (let kill = 0; kill < 3; kill++) {
        await Promise.all(
          Array.from({ length: 10 }, async (_, i) => {
            const items = products.map((productId) => ({ productId, quantity: 2 }));
            expect((await shops[i % 2]!.order(randomUUID(), { items })).status).toBe(201);
          }),
        );
        await doomed.process.kill('SIGKILL');
        doomed = await startShop({ DATABASE_URL: database.url });
      }
    } finally {
      await doomed[Symbol.asyncDispose]();
    }
    const path = await customer.opened();
    await customer.add(path, products[0], { quantity: 5 });
    expect((await customer.confirm(path)).status).toBe(200);
    const expected = [
      { quantity: 65, revenue: 650, orders: 31 },
      { quantity: 60, revenue: 1200, orders: 30 },
      { quantity: 60, revenue: 1800, orders: 30 },
    ];
    await eventually(
      async () => {
        const found = await sales(shops[1]);
        expect(products.map((id) => found.get(id))).toMatchObject(expected);
      },
      // The processor of a killed instance is another one's when its lease is over.
      { timeoutMs: 30_000 },
    );
  }, 90_000);

  it('are counted and told by another instance when the one that did so is killed', async () => {
    const own = await testDatabase();
    try {
      // The first one has the processors, and the second one stands by.
      await using first = await startShop({ DATABASE_URL: own.url });
      await using second = await startShop({ DATABASE_URL: own.url });
      await second.put('/products/pen', { name: 'Pen', price: 100, stock: 1000 });
      const order = () => second.order(randomUUID(), { items: [{ productId: 'pen', quantity: 1 }] });
      const client = await LiveClient.open(second.url);
      await client.join('sales');
      for (let i = 0; i < 10; i++) expect((await order()).status).toBe(201);
      await first.process.kill('SIGKILL');
      for (let i = 0; i < 10; i++) expect((await order()).status).toBe(201);
      await eventually(
        async () => {
          expect((await sales(second)).get('pen')).toMatchObject({ quantity: 20, orders: 20 });
          // What was told before the kill may be told again.
          const told = new Set(client.of('sales').map((sale) => (sale as Sales).position));
          expect(told.size).toBe(20);
        },
        { timeoutMs: 30_000 },
      );
      expect((await second.get('/health')).json).toMatchObject({ status: 'ok' });
      await client.close();
    } finally {
      await own.drop();
    }
  }, 60_000);

  it('come in the order of what they brought in', async () => {
    const revenues = [...(await sales()).values()].map(({ revenue }) => revenue);
    expect(revenues).toEqual(revenues.toSorted((a, b) => b - a));
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=501', 'limit'],
    ['cursor=nonsense', 'cursor'],
    ['sort=name', 'sort'],
  ])('are not given for ?%s', async (query, path) => {
    const reply = await shops[0].get(`/sales?${query}`);
    expect(reply.status).toBe(400);
    expect(reply.json).toMatchObject({ errors: [{ in: 'query', path }] });
  });
});

describe('News', () => {
  it('of a cart, of its order and of the sales reach those who are connected to either instance', async () => {
    const pen = await customer.stocked(9, 250);
    const path = await customer.opened();
    const id = path.slice('/carts/'.length);
    const clients = await Promise.all(shops.map((shop) => LiveClient.open(shop.url)));
    for (const client of clients) {
      await client.join(`carts.${id}`);
      await client.join('sales');
      await client.join('orders');
    }
    await customer.add(path, pen, { quantity: 2 });
    const { orderId } = (await customer.confirm(path, shops[1])).json as Cart;
    const events = (await customer.historyOf(path)).slice(1).map((event) => ({ id, ...event }));
    const isOurs = (news: unknown): boolean => (news as { productId: string }).productId === pen;
    for (const client of clients) {
      // What opened the cart may have been told before they listened, or after.
      const news = (): unknown[] =>
        client.of(`carts.${id}`).filter((one) => (one as HistoryEntry).version > 1);
      await eventually(
        () =>
          news().length === events.length &&
          client.of('sales').some(isOurs) &&
          client.of('orders').some((order) => (order as { id: string }).id === orderId),
      );
      expect(news()).toEqual(events);
      expect(client.of('orders')).toContainEqual({
        id: orderId,
        items: [{ productId: pen, quantity: 2 }],
        total: 500,
      });
      expect(client.of('sales').filter(isOurs)).toEqual([
        { productId: pen, name: 'Thing', quantity: 2, unitPrice: 250, position: expect.any(String) },
      ]);
      await client.close();
    }
  });
});

describe('The health of a shop with carts', () => {
  it('has the log and those who follow it', async () => {
    await eventually(async () => {
      const { status, json } = await shops[0].get('/health');
      expect(status).toBe(200);
      expect(json).toMatchObject({
        details: {
          eventStore: {
            status: 'up',
            headPosition: expect.stringMatching(/^\d+$/),
            parked: 0,
            processors: expect.arrayContaining([
              expect.objectContaining({ id: 'live-news', status: 'active', lag: 0 }),
              expect.objectContaining({ id: 'product-sales', status: 'active', lag: 0 }),
            ]),
          },
        },
      });
    });
  });
});
