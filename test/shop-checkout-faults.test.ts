import { jest } from '@jest/globals';
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
});
