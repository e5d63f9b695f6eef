import { randomUUID } from 'node:crypto';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { type Cart, Customer, type HistoryEntry } from './support/customer.js';
import { type RunningShop, startShop } from './support/running-shop.js';

let database: TestDatabase;
/** Two instances on one database. */
let shops: [RunningShop, RunningShop];
let customer: Customer;

beforeAll(async () => {
  database = await testDatabase();
  shops = await Promise.all([
    startShop({ DATABASE_URL: database.url }),
    startShop({ DATABASE_URL: database.url }),
  ]);
  customer = new Customer(shops);
});

afterAll(async () => {
  await Promise.all((shops ?? []).map((shop) => shop[Symbol.asyncDispose]()));
  await database?.drop();
});

describe('A cart', () => {
  it('takes items in and out, at the price of the day, and is read at every instance', async () => {
    const [pen, ink] = await Promise.all([customer.stocked(5, 250), customer.stocked(9, 1000)]);
    const path = await customer.opened();
    expect((await customer.add(path, pen, { quantity: 2 })).status).toBe(200);
    await customer.add(path, ink, { shop: shops[1] });
    await shops[0].put(`/products/${pen}`, { name: 'Better thing', price: 300, stock: 5 });
    await customer.add(path, pen);
    const reply = await shops[1].delete(`${path}/items/${ink}`);
    expect(reply.status).toBe(200);
    expect(reply.json).toEqual({
      id: path.slice('/carts/'.length),
      status: 'open',
      items: [{ productId: pen, name: 'Better thing', quantity: 3, unitPrice: 300 }],
      total: 900,
      version: 5,
    });
    expect(reply.headers.get('etag')).toBe('"5"');
    for (const shop of shops) expect((await shop.get(path)).text).toBe(reply.text);
    expect(await customer.stockOf(pen)).toBe(5);
  });

  it('is opened once under an id of the client, whatever is in the id', async () => {
    const id = `mine & yours/${randomUUID()} 🦊`;
    const path = `/carts/${encodeURIComponent(id)}`;
    const replies = await Promise.all(shops.map((shop) => shop.send('PUT', path)));
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 201]);
    expect(replies[0]!.text).toBe(replies[1]!.text);
    expect(replies[0]!.json).toMatchObject({ id, status: 'open', items: [], total: 0, version: 1 });
    const again = await shops[0].send('PUT', path, { headers: { 'If-None-Match': '*' } });
    expect(again.status).toBe(412);
  });

  it('shows what it was like after each event, and what has happened', async () => {
    const [pen, ink] = await Promise.all([customer.stocked(5), customer.stocked(5)]);
    const path = await customer.opened();
    const replies = [
      await shops[0].get(path),
      await customer.add(path, pen, { quantity: 3 }),
      await customer.add(path, ink),
      await shops[0].delete(`${path}/items/${pen}?quantity=2`),
      await customer.confirm(path),
    ];
    for (const [i, then] of replies.entries()) {
      const now = await shops[1].get(`${path}?version=${i + 1}`);
      expect(now.text).toBe(then.text);
      expect(now.headers.get('etag')).toBe(`"${i + 1}"`);
    }
    const { orderId } = replies.at(-1)!.json as Cart;
    const history = await customer.historyOf(path);
    const line = { name: 'Thing', unitPrice: 100 };
    expect(history.map(({ type, data, version }) => ({ type, data, version }))).toEqual([
      { version: 1, type: 'ShoppingCartOpened', data: {} },
      { version: 2, type: 'ProductItemAdded', data: { productId: pen, quantity: 3, ...line } },
      { version: 3, type: 'ProductItemAdded', data: { productId: ink, quantity: 1, ...line } },
      { version: 4, type: 'ProductItemRemoved', data: { productId: pen, quantity: 2 } },
      { version: 5, type: 'ShoppingCartConfirmed', data: { orderId, confirmedAt: expect.any(String) } },
    ]);
    const positions = history.map(({ position }) => BigInt(position));
    expect(positions).toEqual(positions.toSorted((a, b) => (a < b ? -1 : 1)));
    expect((await shops[0].get(`${path}?version=6`)).status).toBe(404);
  });

  it('gives its history page by page', async () => {
    const pen = await customer.stocked(5);
    const path = await customer.opened();
    for (let i = 0; i < 6; i++) await customer.add(path, pen);
    const pages: number[][] = [];
    let next: string | undefined = `${path}/history?limit=3`;
    while (next !== undefined) {
      const reply = await shops[0].get(next);
      expect(reply.json).toMatchObject({ version: 7 });
      pages.push((reply.json as { events: HistoryEntry[] }).events.map(({ version }) => version));
      next = /<(.*)>; rel="next"/.exec(reply.headers.get('link') ?? '')?.[1];
    }
    expect(pages).toEqual([[1, 2, 3], [4, 5, 6], [7]]);
    expect((await shops[0].get(`${path}/history?after=7`)).json).toMatchObject({ events: [], version: 7 });
  });

  it('is sent only to those who do not have it, and changed only by those who have seen it', async () => {
    const pen = await customer.stocked(5);
    const path = await customer.opened();
    expect((await shops[0].get(path, { 'If-None-Match': '"1"' })).status).toBe(304);
    expect((await customer.add(path, pen, { headers: { 'If-Match': '"1"' } })).status).toBe(200);
    const late = await customer.add(path, pen, { shop: shops[1], headers: { 'If-Match': '"1"' } });
    expect(late.status).toBe(412);
    expect(late.headers.get('etag')).toBe('"2"');
    expect((await customer.confirm(path, shops[0], { 'If-Match': '"1"' })).status).toBe(412);
    expect((await shops[0].delete(`${path}/items/${pen}`, { 'If-Match': '"1"' })).status).toBe(412);
    expect((await shops[0].get(path, { 'If-None-Match': '"1"' })).json).toMatchObject({ version: 2 });
  });

  it('loses nothing that many add and remove at once, at both instances', async () => {
    const [pen, ink] = await Promise.all([customer.stocked(5), customer.stocked(5)]);
    const path = await customer.opened();
    await customer.add(path, ink, { quantity: 20 });
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, i) => {
        const shop = shops[(i >> 1) % 2]!;
        return i % 2 === 0
          ? customer.add(path, pen, { shop })
          : shop.delete(`${path}/items/${ink}?quantity=1`);
      }),
    );
    expect(replies.map(({ status }) => status)).toEqual(Array(40).fill(200));
    const cart = (await shops[1].get(path)).json as Cart;
    expect(cart).toMatchObject({ items: [{ productId: pen, quantity: 20 }], version: 42 });
    expect(new Set(replies.map(({ json }) => (json as Cart).version)).size).toBe(40);
  });
});

describe('An item', () => {
  it('is added and removed once under an Idempotency-Key, however many ask at once', async () => {
    const pen = await customer.stocked(5);
    const path = await customer.opened();
    const headers = { 'Idempotency-Key': randomUUID() };
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        customer.add(path, pen, { quantity: 3, shop: shops[i % 2]!, headers }),
      ),
    );
    expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(replies[0]!.json).toMatchObject({ items: [{ quantity: 3 }], version: 2 });
    expect(replies.filter((reply) => reply.headers.get('idempotent-replayed') === null)).toHaveLength(1);

    const removal = { 'Idempotency-Key': randomUUID() };
    for (const shop of shops) {
      const reply = await shop.delete(`${path}/items/${pen}?quantity=1`, removal);
      expect(reply.json).toMatchObject({ items: [{ quantity: 2 }], version: 3 });
    }
    await customer.confirm(path);
    // The answer was lost, say; that the cart is confirmed since does not matter.
    const late = await customer.add(path, pen, { quantity: 3, headers: { ...headers, 'If-Match': '"1"' } });
    expect(late.status).toBe(200);
    expect(late.json).toMatchObject({ status: 'confirmed', version: 4 });
  });

  it('is refused under a key that was used for another change of the cart', async () => {
    const [pen, ink] = await Promise.all([customer.stocked(5), customer.stocked(5)]);
    const path = await customer.opened();
    const headers = { 'Idempotency-Key': 'key' };
    await customer.add(path, pen, { headers });
    for (const other of [
      await customer.add(path, ink, { headers }),
      await customer.add(path, pen, { quantity: 2, headers }),
      await shops[1].delete(`${path}/items/${pen}`, headers),
    ]) {
      expect(other.status).toBe(422);
      expect(other.json).toMatchObject({ type: expect.stringMatching(/idempotency-key-reused$/) });
    }
    // Another cart's keys are its own.
    expect((await customer.add(await customer.opened(), ink, { headers })).status).toBe(200);
  });

  it.each([
    ['POST', 'items', undefined, { in: 'body', path: 'body' }],
    ['POST', 'items', [], { in: 'body', path: 'body' }],
    ['POST', 'items', {}, { in: 'body', path: 'productId' }],
    ['POST', 'items', { productId: 'a', quantity: 0 }, { in: 'body', path: 'quantity' }],
    ['POST', 'items', { productId: 'a', quantity: '1' }, { in: 'body', path: 'quantity' }],
    ['POST', 'items', { productId: 'a', price: 1 }, { in: 'body', path: 'price' }],
    ['DELETE', 'items/a?quantity=0', undefined, { in: 'query', path: 'quantity' }],
    ['DELETE', 'items/a?quantity=1&quantity=2', undefined, { in: 'query', path: 'quantity' }],
    ['GET', '?version=0', undefined, { in: 'query', path: 'version' }],
    ['GET', '?version=1.5', undefined, { in: 'query', path: 'version' }],
    ['GET', 'history?after=-1', undefined, { in: 'query', path: 'after' }],
    ['GET', 'history?limit=501', undefined, { in: 'query', path: 'limit' }],
  ])('%s %s with %j is refused with the path', async (method, rest, body, fault) => {
    const path = await customer.opened();
    const separator = rest.startsWith('?') ? '' : '/';
    const reply = await shops[0].send(method, `${path}${separator}${rest}`, { body });
    expect(reply.status).toBe(400);
    expect(reply.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(reply.json).toMatchObject({ errors: [fault] });
    expect((await shops[0].get(path)).json).toMatchObject({ version: 1 });
  });

  it('that nobody knows, or that is not there, is refused with what is wrong', async () => {
    const pen = await customer.stocked(5);
    const path = await customer.opened();
    const unknown = await customer.add(path, 'no such product');
    expect(unknown.status).toBe(422);
    expect(unknown.json).toMatchObject({ errors: [{ in: 'body', path: 'productId' }] });
    await customer.add(path, pen, { quantity: 2 });
    expect((await shops[0].delete(`${path}/items/${pen}?quantity=3`)).json).toMatchObject({
      status: 409,
      detail: expect.stringContaining('Only 2'),
    });
    expect((await shops[0].delete(`${path}/items/none`)).status).toBe(404);
    const full = await customer.add(path, pen, { quantity: 9999 });
    expect(full.json).toMatchObject({ status: 409, type: expect.stringMatching(/cart-full$/) });
    expect((await shops[0].get(path)).json).toMatchObject({ version: 2 });
  });

  it('of a cart that is not there is refused with 404', async () => {
    const pen = await customer.stocked(1);
    const path = '/carts/none';
    for (const reply of [
      await shops[0].get(path),
      await shops[0].get(`${path}?version=1`),
      await shops[0].get(`${path}/history`),
      await customer.add(path, pen),
      await shops[0].delete(`${path}/items/${pen}`),
      await customer.confirm(path),
    ]) {
      expect(reply.status).toBe(404);
    }
  });
});
