import { randomUUID } from 'node:crypto';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { CheckoutCustomer } from './support/checkout-customer.js';
import { type Reply, type RunningShop, startShop } from './support/running-shop.js';

let database: TestDatabase;
/** Two instances on one database. */
let shops: [RunningShop, RunningShop];

beforeAll(async () => {
  database = await testDatabase();
  const env = { DATABASE_URL: database.url, PAYMENT_LATENCY: '1ms', CARRIER_LATENCY: '1ms' };
  shops = await Promise.all([startShop(env), startShop(env)]);
});

afterAll(async () => {
  await Promise.all((shops ?? []).map((shop) => shop[Symbol.asyncDispose]()));
  await database?.drop();
});

/** A new customer. @returns its id */
async function registered(email = `${randomUUID()}@example.org`): Promise<string> {
  const id = `customer-${randomUUID()}`;
  const { status } = await shops[0].put(`/customers/${id}`, { name: 'Ada', email });
  if (status !== 201) throw new Error(`The customer was answered with ${status}.`);
  return id;
}

async function stocked(stock: number): Promise<string> {
  const id = `product-${randomUUID()}`;
  await shops[0].put(`/products/${id}`, { name: 'Thing', price: 100, stock });
  return id;
}

function faults({ json }: Reply): unknown {
  return (json as { errors?: unknown }).errors;
}

function statusesOf(replies: readonly Reply[]): number[] {
  return replies.map(({ status }) => status).toSorted((a, b) => a - b);
}

interface Account {
  orders: { id: string; status: string; total: number; customerId: string }[];
  cursor: string | null;
}

describe('A customer', () => {
  it('is made, read at the other instance, and changed', async () => {
    const created = await shops[0].put('/customers/ada', { name: 'Ada', email: 'Ada@Example.org' });
    const ada = { id: 'ada', name: 'Ada', email: 'ada@example.org' };
    expect([created.status, created.json, created.headers.get('etag')]).toEqual([201, ada, '"1"']);
    expect(created.headers.get('location')).toBe('/customers/ada');

    const read = await shops[1].get('/customers/ada');
    expect([read.status, read.json, read.headers.get('etag')]).toEqual([200, ada, '"1"']);
    expect((await shops[1].get('/customers/ada', { 'If-None-Match': '"1"' })).status).toBe(304);

    const changed = await shops[1].put('/customers/ada', { ...ada, name: 'Ada L.' }, { 'If-Match': '"1"' });
    expect([changed.status, changed.headers.get('etag')]).toEqual([200, '"2"']);
    expect((await shops[0].put('/customers/ada', ada, { 'If-Match': '"1"' })).status).toBe(412);
    expect((await shops[0].put('/customers/ada', ada, { 'If-None-Match': '*' })).status).toBe(412);
    expect((await shops[0].get('/customers/nobody')).status).toBe(404);
  });

  it.each([
    [{ name: 'A' }, 'email'],
    [{ name: 'A', email: 'nobody' }, 'email'],
    [{ name: ' ', email: 'a@example.org' }, 'name'],
    [{ name: 'A', email: 'a@example.org', age: 3 }, 'age'],
    [{ id: 'other', name: 'A', email: 'a@example.org' }, 'id'],
  ])('with %j is refused with the path', async (body, path) => {
    const reply = await shops[0].put('/customers/bad', body);
    expect(reply.status).toBe(400);
    expect(faults(reply)).toEqual([{ in: 'body', path, message: expect.any(String) }]);
  });

  it('may have the address of others, and be made at the same time as they are, at both instances', async () => {
    const email = `${randomUUID()}@example.org`;
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        shops[i % 2]!.put(`/customers/many-${i}`, { name: `Many ${i}`, email }),
      ),
    );
    expect(statusesOf(replies)).toEqual(Array<number>(20).fill(201));
    expect((await shops[0].get('/customers/many-7')).json).toEqual({ id: 'many-7', name: 'Many 7', email });
  });

  it('is made once by many who make the same at once', async () => {
    const body = { name: 'Same', email: `${randomUUID()}@example.org` };
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) => shops[i % 2]!.put('/customers/same', body)),
    );
    expect(statusesOf(replies)).toEqual([...Array<number>(19).fill(200), 201]);
    expect(new Set(replies.map(({ headers }) => headers.get('etag'))).size).toBe(20);
  });
});

describe('The list of customers', () => {
  it('is read page by page', async () => {
    const ids = await Promise.all(Array.from({ length: 5 }, () => registered()));
    const seen: string[] = [];
    for (let path: string | undefined = '/customers?limit=2'; path !== undefined;) {
      const page = await shops[1].get(path);
      seen.push(...(page.json as { customers: { id: string }[] }).customers.map(({ id }) => id));
      path = /^<(.+)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1];
    }
    expect(seen).toEqual([...new Set(seen)].toSorted());
    expect(seen).toEqual(expect.arrayContaining(ids));
    expect((await shops[0].get('/customers?cursor=nonsense')).status).toBe(400);
  });
});

describe("A customer's account", () => {
  it('has what was ordered and confirmed at either instance, the newest first, with how far it has come', async () => {
    const id = await registered();
    const product = await stocked(10);
    const placed = await shops[0].order(randomUUID(), {
      items: [{ productId: product, quantity: 2 }],
      customerId: id,
    });
    expect(placed.json).toMatchObject({ customerId: id });

    const path = (await shops[1].send('POST', '/carts')).headers.get('location')!;
    await shops[1].send('POST', `${path}/items`, { body: { productId: product, quantity: 1 } });
    const confirmed = await shops[1].send('POST', `${path}/confirm`, { body: { customerId: id } });
    expect(confirmed.status).toBe(200);

    const [first, second] = [
      (placed.json as { id: string }).id,
      (confirmed.json as { orderId: string }).orderId,
    ];
    await new CheckoutCustomer(shops[0]).until(first, 'paid');
    const account = (await shops[1].get(`/customers/${id}/orders`)).json as Account;
    expect(account).toMatchObject({ id, cursor: null });
    expect(account.orders.map((order) => order.id)).toEqual([second, first]);
    expect(account.orders[1]).toMatchObject({ status: 'paid', total: 200, customerId: id });

    const page = await shops[0].get(`/customers/${id}/orders?limit=1`);
    expect((page.json as Account).orders.map((order) => order.id)).toEqual([second]);
    const [, next] = /^<(.+)>; rel="next"$/.exec(page.headers.get('link')!)!;
    expect(((await shops[0].get(next!)).json as Account).orders.map((order) => order.id)).toEqual([first]);

    const { json: history } = await shops[1].get(`/orders/${first}/history?limit=1`);
    expect(history).toMatchObject({ events: [{ type: 'OrderPlaced', data: { customerId: id } }] });
  });

  it('is not claimed by an address: who comes back under a new id can order, and sees only that', async () => {
    const email = `${randomUUID()}@example.org`;
    const [before, now] = [await registered(email), await registered(email)];
    const product = await stocked(10);
    const [first, second] = await Promise.all(
      [before, now].map(async (customerId) => {
        const items = [{ productId: product, quantity: 1 }];
        return (await shops[0].order(randomUUID(), { items, customerId })).json as { id: string };
      }),
    );
    for (const [id, order] of [
      [before, first],
      [now, second],
    ] as const) {
      const account = (await shops[1].get(`/customers/${id}/orders`)).json as Account;
      expect(account.orders.map((one) => one.id)).toEqual([order!.id]);
    }
  });

  it('is not there for somebody unknown, who cannot order, and nothing is taken', async () => {
    expect((await shops[0].get('/customers/nobody/orders')).status).toBe(404);
    const product = await stocked(3);
    const order = await shops[0].order(randomUUID(), {
      items: [{ productId: product, quantity: 1 }],
      customerId: 'nobody',
    });
    expect([order.status, faults(order)]).toEqual([
      422,
      [{ in: 'body', path: 'customerId', message: 'There is no customer "nobody".' }],
    ]);
    const path = (await shops[1].send('POST', '/carts')).headers.get('location')!;
    await shops[1].send('POST', `${path}/items`, { body: { productId: product } });
    const confirmed = await shops[1].send('POST', `${path}/confirm`, { body: { customerId: 'nobody' } });
    expect(confirmed.status).toBe(422);
    expect((await shops[1].get(`/products/${product}`)).json).toMatchObject({ stock: 3 });
    expect((await shops[1].get(path)).json).toMatchObject({ status: 'open' });
  });
});

describe('Two instances', () => {
  it('see at once what was ordered at the other one, and sell nothing twice', async () => {
    const id = await registered();
    const product = await stocked(25);
    for (let left = 24; left >= 20; left--) {
      const [here, there] = left % 2 === 0 ? shops : shops.toReversed();
      const { json } = await here!.order(randomUUID(), {
        items: [{ productId: product, quantity: 1 }],
        customerId: id,
      });
      expect((await there!.get(`/orders/${(json as { id: string }).id}`)).status).toBe(200);
      expect((await there!.get(`/products/${product}`)).json).toMatchObject({ stock: left });
    }
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        shops[i % 2]!.order(randomUUID(), { items: [{ productId: product, quantity: 1 }], customerId: id }),
      ),
    );
    expect(statusesOf(replies)).toEqual([...Array<number>(20).fill(201), ...Array<number>(20).fill(409)]);
    expect((await shops[0].get(`/products/${product}`)).json).toMatchObject({ stock: 0 });
    const account = (await shops[1].get(`/customers/${id}/orders`)).json as Account;
    expect(account.orders).toHaveLength(25);
  });
});
