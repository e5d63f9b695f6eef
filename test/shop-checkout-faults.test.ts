import { randomUUID } from 'node:crypto';
import { jest } from '@jest/globals';
import { createEventStore, type EventStore } from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { CheckoutCustomer } from './support/checkout-customer.js';
import { type RunningShop, startShop } from './support/running-shop.js';

let database: TestDatabase;
/** All that were started. */
const started: RunningShop[] = [];

/** The shop is started, killed and started again, on a machine that may be busy. */
jest.setTimeout(90_000);

const FAST = { PAYMENT_LATENCY: '1ms', CARRIER_LATENCY: '1ms', NODE_LEASE: '1s', REQUEST_TIMEOUT: '30s' };

beforeEach(async () => {
  database = await testDatabase();
});

afterEach(async () => {
  await Promise.all(started.splice(0).map((shop) => shop[Symbol.asyncDispose]()));
  await database.drop();
});

async function start(env: Record<string, string> = {}): Promise<RunningShop> {
  const shop = await startShop({ ...FAST, DATABASE_URL: database.url, ...env });
  started.push(shop);
  return shop;
}

describe('A payment provider', () => {
  it('that fails before and after it charges, and does not answer, charges once', async () => {
    const customer = new CheckoutCustomer(
      await start({
        PAYMENT_FAILURE_RATE: '0.4',
        PAYMENT_TIMEOUT_RATE: '0.3',
        PAYMENT_MAX_FAILURES: '2',
        PAYMENT_TIMEOUT: '1s',
      }),
    );
    const ids = await Promise.all(Array.from({ length: 12 }, () => customer.order()));
    const payments = await Promise.all(
      ids.map(async (id) => {
        await customer.until(id, 'paid');
        return customer.paymentsOf(id);
      }),
    );
    expect(payments.map((all) => all.map(({ log }) => log.map(({ kind }) => kind)))).toEqual(
      ids.map(() => [['charge']]),
    );
    const requests = payments.map(([payment]) => payment!.requests);
    expect(Math.max(...requests)).toBeGreaterThan(1);
    const attempts = await Promise.all(
      ids.map(async (id) => (await customer.stepsOf(id))['charge']!.attempts),
    );
    expect(Math.max(...attempts)).toBeGreaterThan(1);
  });

  it('that charges and never answers gives the money back when the order is cancelled meanwhile', async () => {
    const customer = new CheckoutCustomer(
      await start({ PAYMENT_TIMEOUT_RATE: '1', PAYMENT_TIMEOUT: '30ms' }),
    );
    const id = await customer.order();
    await eventually(async () => expect(await customer.bookingsOf(id)).toEqual(['charge 100']));
    await customer.cancel(id);
    await eventually(async () => expect(await customer.bookingsOf(id)).toEqual(['charge 100', 'refund 100']));
  });
});

describe('An order that nobody packs', () => {
  it('is cancelled when the time is up, with the money and the stock back', async () => {
    const customer = new CheckoutCustomer(await start({ PACKING_TIMEOUT: '300ms' }));
    const pen = await customer.stocked(3);
    const id = await customer.order({ items: [{ productId: pen, quantity: 3 }] });
    await customer.until(id, 'cancelled');
    expect(await customer.bookingsOf(id)).toEqual(['charge 300', 'refund 300']);
    expect(await customer.stockOf(pen)).toBe(3);
    await eventually(async () => expect((await customer.progress(id)).error).toMatch(/packed/));
  });
});

describe('A shop that is killed', () => {
  it('while it charges goes on when it is started anew, and charges once', async () => {
    const shop = await start({ PAYMENT_LATENCY: '300ms' });
    const customer = new CheckoutCustomer(shop);
    const ids = await Promise.all(Array.from({ length: 5 }, () => customer.order()));
    // Asked for, and not answered yet.
    await eventually(async () => {
      const payments = await Promise.all(ids.map((id) => customer.paymentsOf(id)));
      return payments.flat().length === 5 && payments.flat().every(({ requests }) => requests === 1);
    });
    await shop.process.kill('SIGKILL');
    customer.shop = await start();
    for (const id of ids) {
      await customer.until(id, 'paid');
      expect(await customer.bookingsOf(id)).toEqual(['charge 100']);
    }
  });

  it('or stopped at every stage ships the order all the same, each step once', async () => {
    const customer = new CheckoutCustomer(await start({ PAYMENT_LATENCY: '50ms', CARRIER_LATENCY: '50ms' }));
    const pen = await customer.stocked(2000);
    const ids = await Promise.all(
      Array.from({ length: 3 }, () => customer.order({ items: [{ productId: pen, quantity: 501 }] })),
    );
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
      await started.at(-1)!.process.kill(signal);
      customer.shop = await start({ PAYMENT_LATENCY: '50ms', CARRIER_LATENCY: '50ms' });
      for (const id of ids) await customer.packed(id);
    }
    for (const id of ids) {
      await eventually(
        async () => {
          await customer.packed(id);
          return (await customer.progress(id)).status === 'shipped';
        },
        { timeoutMs: 30_000 },
      );
      expect(await customer.historyOf(id)).toEqual([
        'OrderPlaced',
        'ProductSold',
        'StockReserved',
        'OrderPaid',
        'OrderPacked',
        'ShippingStarted',
        'ParcelShipped',
        'ParcelShipped',
        'OrderShipped',
      ]);
      expect(await customer.bookingsOf(id)).toEqual(['charge 50100']);
    }
    expect(await customer.stockOf(pen)).toBe(2000 - 3 * 501);
  });

  it('in the middle of orders has stock, events, checkouts and answers that agree on what was sold', async () => {
    const env = { PAYMENT_LATENCY: '5ms' };
    let shop = await start(env);
    const port = String(shop.port);
    const initial = 500;
    const products = await Promise.all([1, 2, 3].map(() => new CheckoutCustomer(shop).stocked(initial)));
    const ended = new AbortController();
    const answered: string[] = [];
    const customers = Array.from({ length: 6 }, async (_, i) => {
      for (let n = 0; !ended.signal.aborted; n++) {
        const key = randomUUID();
        const items = [
          { productId: products[(i + n) % 3]!, quantity: 1 + (n % 2) },
          { productId: products[(i + n + 1) % 3]!, quantity: 1 },
        ];
        // Again and again under the same key, until there is an answer.
        const id = (await eventually(
          () =>
            shop
              .order(key, { items })
              .then(({ status, json }) => status === 201 && (json as { id: string }).id),
          { timeoutMs: 60_000, intervalMs: 20 },
        )) as string;
        answered.push(id);
        // Some are cancelled again, which may be cut off, too.
        if (n % 3 === 0) await shop.send('POST', `/orders/${id}/cancel`).catch(() => undefined);
      }
    });
    for (let kill = 0; kill < 3; kill++) {
      const before = answered.length;
      await eventually(() => answered.length > before + 8, { timeoutMs: 60_000 });
      await shop.process.kill('SIGKILL');
      shop = await start({ ...env, PORT: port });
    }
    ended.abort();
    await Promise.all(customers);
    await shop.process.kill('SIGTERM');

    const events = createEventStore(database.url);
    const postgres = new Postgres(database.url);
    try {
      const { placed, sold } = await soldBy(events);
      // What was answered has happened; and what has happened was answered, since each customer waited for it.
      expect([...placed].toSorted()).toEqual(answered.toSorted());
      const runs = await postgres.query(
        `select id from workflows.workflow_runs where workflow = 'shop.checkout'`,
      );
      expect(runs.map(({ id }) => String(id)).toSorted()).toEqual(answered.toSorted());
      const stocks = await postgres.query('select id, stock from shop.product order by id');
      expect(stocks.map(({ id, stock }) => [id, Number(stock) + (sold.get(String(id)) ?? 0)])).toEqual(
        products.toSorted().map((id) => [id, initial]),
      );
      expect([...sold.values()].every((quantity) => quantity > 0)).toBe(true);
    } finally {
      await events.close();
      await postgres.close();
    }
  });
});

/** The orders in the log, and how many of each product were sold and not returned. */
async function soldBy(events: EventStore): Promise<{ placed: Set<string>; sold: Map<string, number> }> {
  const placed = new Set<string>();
  const sold = new Map<string, number>();
  const types = ['OrderPlaced', 'ProductSold', 'ProductReturned'];
  for await (const { type, data, metadata } of events.readAll({ types })) {
    if (type === 'OrderPlaced') placed.add(metadata.streamName.replace(/^order-/, ''));
    else {
      const { productId, quantity } = data as { productId: string; quantity: number };
      const sign = type === 'ProductSold' ? 1 : -1;
      sold.set(productId, (sold.get(productId) ?? 0) + sign * quantity);
    }
  }
  return { placed, sold };
}
