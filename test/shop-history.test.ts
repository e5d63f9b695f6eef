import { randomUUID } from 'node:crypto';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { CheckoutCustomer } from './support/checkout-customer.js';
import type { HistoryEntry } from './support/customer.js';
import { type RunningShop, startShop } from './support/running-shop.js';

let database: TestDatabase;
let shop: RunningShop;

beforeAll(async () => {
  database = await testDatabase();
  shop = await startShop({ DATABASE_URL: database.url, PAYMENT_LATENCY: '1ms', CARRIER_LATENCY: '1ms' });
});

afterAll(async () => {
  await shop?.[Symbol.asyncDispose]();
  await database?.drop();
});

async function historyOf(path: string): Promise<HistoryEntry[]> {
  return ((await shop.get(`${path}/history`)).json as { events: HistoryEntry[] }).events;
}

describe('What has happened to an order', () => {
  it('belongs to the request that placed it, and is led to by requests or by the event before', async () => {
    const customer = new CheckoutCustomer(shop);
    const productId = await customer.stocked();
    const placed = await shop.send('POST', '/orders', {
      body: { items: [{ productId, quantity: 2 }] },
      headers: { 'Idempotency-Key': randomUUID(), 'X-Request-Id': 'placing-1' },
    });
    const { id } = placed.json as { id: string };
    await customer.until(id, 'paid');
    await shop.send('POST', `/orders/${id}/cancel`, { headers: { 'X-Request-Id': 'cancelling-1' } });

    const events = await historyOf(`/orders/${id}`);
    expect(events.map(({ type }) => type)).toEqual([
      'OrderPlaced',
      'ProductSold',
      'StockReserved',
      'OrderPaid',
      'ProductReturned',
      'OrderCancelled',
    ]);
    expect(events.map(({ correlationId }) => correlationId)).toEqual(Array(6).fill('placing-1'));
    const ids = events.map(({ messageId }) => messageId);
    expect(events.map(({ causationId }) => causationId)).toEqual([
      'placing-1',
      'placing-1',
      ids[1],
      ids[2],
      'cancelling-1',
      'cancelling-1',
    ]);
  });

  it('adds up to the order at every version', async () => {
    const customer = new CheckoutCustomer(shop);
    const productId = await customer.stocked();
    const id = await customer.order({ items: [{ productId, quantity: 3 }] });
    await customer.until(id, 'paid');
    await customer.packed(id);
    await customer.until(id, 'shipped');
    const { length } = await historyOf(`/orders/${id}`);
    const states = await Promise.all(
      Array.from({ length }, async (_, i) => {
        const { json } = await shop.get(`/orders/${id}?version=${i + 1}`);
        const { version, status, items } = json as { version: number; status: string; items: unknown[] };
        return [version, status, items.length];
      }),
    );
    expect(states).toEqual([
      [1, 'placed', 0],
      [2, 'placed', 1],
      [3, 'reserved', 1],
      [4, 'paid', 1],
      [5, 'packed', 1],
      [6, 'shipping', 1],
      [7, 'shipping', 1],
      [8, 'shipped', 1],
    ]);
    expect((await shop.get(`/orders/${id}?version=${length + 1}`)).status).toBe(404);
    expect((await shop.get(`/orders/${id}?version=0`)).status).toBe(400);
    expect((await shop.get(`/orders/none?version=1`)).status).toBe(404);
  });
});

describe('What has happened to a cart', () => {
  it('tells by which request each of it came about', async () => {
    const customer = new CheckoutCustomer(shop);
    const productId = await customer.stocked();
    const ask = (requestId: string, method: string, path: string, body?: object) =>
      shop.send(method, path, { body, headers: { 'X-Request-Id': requestId } });
    const path = (await ask('open', 'POST', '/carts')).headers.get('location')!;
    await ask('add', 'POST', `${path}/items`, { productId, quantity: 2 });
    await ask('remove', 'DELETE', `${path}/items/${productId}?quantity=1`);
    const { json } = await ask('confirm', 'POST', `${path}/confirm`);

    const events = await historyOf(path);
    expect(events.map(({ correlationId }) => correlationId)).toEqual(['open', 'add', 'remove', 'confirm']);
    const [placed] = await historyOf(`/orders/${(json as { orderId: string }).orderId}`);
    expect(placed).toMatchObject({ correlationId: 'confirm', causationId: 'confirm' });
  });
});
