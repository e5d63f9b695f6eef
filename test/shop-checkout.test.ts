import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { CheckoutCustomer, type Step } from './support/checkout-customer.js';
import { LiveClient } from './support/live-client.js';
import { type RunningShop, startShop } from './support/running-shop.js';

let database: TestDatabase;
/** Two instances on one database. */
let shops: [RunningShop, RunningShop];
let customer: CheckoutCustomer;

/** Long enough to be seen. */
const COLLECT_MS = 120;
const FAST = { PAYMENT_LATENCY: '1ms', CARRIER_LATENCY: `${COLLECT_MS}ms` };

beforeAll(async () => {
  database = await testDatabase();
  const env = { ...FAST, DATABASE_URL: database.url };
  shops = await Promise.all([startShop(env), startShop(env)]);
  customer = new CheckoutCustomer(shops[0]);
});

afterAll(async () => {
  await Promise.all((shops ?? []).map((shop) => shop[Symbol.asyncDispose]()));
  await database?.drop();
});

describe('The checkout of an order', () => {
  it('reserves, charges, waits until it is packed, and ships each parcel', async () => {
    const [pen, ink] = await Promise.all([customer.stocked(1200, 10), customer.stocked(5, 700)]);
    const items = [
      { productId: pen, quantity: 1100 },
      { productId: ink, quantity: 2 },
    ];
    const id = await customer.order({ items });
    await customer.until(id, 'paid');
    // It waits for as long as nobody says that it is packed.
    await eventually(async () =>
      expect(await customer.stepsOf(id)).toMatchObject({
        packed: { kind: 'signal', status: 'waiting' },
      }),
    );
    expect((await customer.packed(id, { by: 'Ada' })).status).toBe(202);
    await customer.until(id, 'shipped');

    expect(await customer.historyOf(id)).toEqual([
      'OrderPlaced',
      'ProductSold',
      'ProductSold',
      'StockReserved',
      'OrderPaid',
      'OrderPacked',
      'ShippingStarted',
      ...Array(4).fill('ParcelShipped'),
      'OrderShipped',
    ]);
    expect(await customer.bookingsOf(id)).toEqual(['charge 12400']);
    expect(await Promise.all([customer.stockOf(pen), customer.stockOf(ink)])).toEqual([100, 3]);
    const { steps, error } = (await eventually(async () => {
      const progress = await customer.progress(id);
      return progress.steps.every(({ status }) => status === 'done') && progress;
    })) as Awaited<ReturnType<CheckoutCustomer['progress']>>;
    expect(error).toBeNull();
    expect(steps.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['reserve', 'charge', 'packed', 'finish']),
    );
    for (const step of steps) {
      if (step.kind !== 'signal') expect(step.durationMs).toEqual(expect.any(Number));
    }
  });

  it('begins with the confirmation of a cart, and charges the card that is named there', async () => {
    const pen = await customer.stocked(5, 250);
    const id = await customer.confirm(pen, 2, 'card_gold');
    await customer.until(id, 'paid');
    expect(await customer.paymentsOf(id)).toMatchObject([
      { card: 'card_gold', amount: 500, closed: false, log: [{ kind: 'charge', amount: 500 }] },
    ]);
  });

  it('is told of live, at every instance: each step, with how long it took', async () => {
    const client = await LiveClient.open(shops[1].url);
    try {
      const id = await customer.order();
      await client.join(`orders.${id}`);
      await customer.until(id, 'paid');
      await customer.packed(id);
      type News = { steps?: Step[]; event?: { type: string } };
      const news = () => client.of(`orders.${id}`) as News[];
      const steps = () => news().flatMap((of) => of.steps ?? []);
      await eventually(() => news().some(({ event }) => event?.type === 'OrderShipped'));
      await eventually(() =>
        expect(steps().map(({ name, status }) => `${name} ${status}`)).toEqual(
          expect.arrayContaining(['ship/1/collect running', 'ship/1/collect done', 'finish done']),
        ),
      );
      const done = steps().find(({ name, status }) => name === 'ship/1/collect' && status === 'done');
      expect(done!.durationMs).toBeGreaterThanOrEqual(COLLECT_MS - 1);
    } finally {
      await client.close();
    }
  });

  it('is one, however often it is said that the order is packed', async () => {
    const id = await customer.order();
    await customer.until(id, 'paid');
    const replies = await Promise.all(Array.from({ length: 10 }, () => customer.packed(id)));
    expect(replies.map(({ status }) => status)).toEqual(Array(10).fill(202));
    await customer.until(id, 'shipped');
    expect((await customer.historyOf(id)).filter((type) => type === 'OrderPacked')).toHaveLength(1);
    expect((await customer.packed(id)).status).toBe(202);
  });

  it('of an order that is not there, is not there', async () => {
    const replies = await Promise.all([
      shops[0].get('/orders/none/steps'),
      shops[0].get('/orders/none/history'),
      shops[0].get('/orders/none/payments'),
      customer.packed('none'),
      customer.cancel('none'),
      customer.retry('none'),
    ]);
    expect(replies.map(({ status }) => status)).toEqual(Array(6).fill(404));
    expect((await customer.packed('none', { by: '' })).status).toBe(400);
  });
});

describe('A declined card', () => {
  it('cancels the order, and the stock is back', async () => {
    const pen = await customer.stocked(5);
    const id = await customer.order({ items: [{ productId: pen, quantity: 2 }], card: 'card_declined' });
    expect(await customer.stockOf(pen)).toBe(3);
    await customer.until(id, 'cancelled');
    expect(await customer.stockOf(pen)).toBe(5);
    await eventually(async () =>
      expect(await customer.progress(id)).toMatchObject({ error: 'The card "card_declined" was declined.' }),
    );
    expect(await customer.paymentsOf(id)).toMatchObject([{ closed: true, requests: 1, log: [] }]);
    expect(await customer.stepsOf(id)).toMatchObject({
      charge: { status: 'error', attempts: 1 },
      'undo:reserve': { status: 'done' },
      'undo:open payment': { status: 'done' },
    });
    expect((await customer.packed(id)).json).toMatchObject({
      type: expect.stringMatching(/order-not-paid$/),
    });
  });
});

describe('Stock that is sold out', () => {
  it('refuses the order at once', async () => {
    const pen = await customer.stocked(1);
    await customer.order({ items: [{ productId: pen, quantity: 1 }] });
    await expect(customer.order({ items: [{ productId: pen, quantity: 1 }] })).rejects.toThrow(/409/);
    await expect(customer.confirm(pen, 1)).rejects.toThrow(/409/);
  });

  it('fails the checkout of a cancelled order that is tried again, and says so', async () => {
    const pen = await customer.stocked(1);
    const id = await customer.order({ items: [{ productId: pen, quantity: 1 }] });
    await customer.until(id, 'paid');
    await customer.cancel(id);
    // Somebody else gets the one that is back.
    await customer.order({ items: [{ productId: pen, quantity: 1 }] });
    await eventually(async () => expect((await customer.retry(id)).status).toBe(202));
    await eventually(async () =>
      expect(await customer.progress(id)).toMatchObject({
        status: 'cancelled',
        error: `Sold out: "${pen}".`,
      }),
    );
    expect(await customer.bookingsOf(id)).toEqual(['charge 100', 'refund 100']);
    expect(await customer.stockOf(pen)).toBe(0);
  });
});

describe('A customer', () => {
  it('cancels before it is shipped: the stock is back at once, the money soon', async () => {
    const pen = await customer.stocked(5);
    const id = await customer.order({ items: [{ productId: pen, quantity: 2 }] });
    await customer.until(id, 'paid');
    const reply = await customer.cancel(id);
    expect([reply.status, reply.json]).toEqual([200, { id, status: 'cancelled' }]);
    expect(await customer.stockOf(pen)).toBe(5);
    await eventually(async () => expect(await customer.bookingsOf(id)).toEqual(['charge 200', 'refund 200']));
    expect((await customer.cancel(id)).status).toBe(200);
    expect((await customer.packed(id)).status).toBe(409);
    expect((await customer.historyOf(id)).slice(-2)).toEqual(['ProductReturned', 'OrderCancelled']);
    expect(await customer.stockOf(pen)).toBe(5);
  });

  it('may cancel at any moment, and never pays for what is cancelled', async () => {
    const pen = await customer.stocked(1000);
    const items = [{ productId: pen, quantity: 1 }];
    const ids = await Promise.all(Array.from({ length: 20 }, () => customer.order({ items })));
    await Promise.all(
      ids.map(async (id, i) => {
        if (i % 2 === 0) await customer.until(id, 'paid');
        await Promise.all([customer.packed(id), customer.cancel(id)]);
      }),
    );
    let shipped = 0;
    for (const id of ids) {
      const status = await eventually(async () => {
        const progress = await customer.progress(id);
        return ['shipped', 'cancelled'].includes(progress.status) && progress.status;
      });
      await eventually(async () => {
        const bookings = await customer.bookingsOf(id);
        if (status === 'shipped') expect(bookings).toEqual(['charge 100']);
        else expect([[], ['charge 100', 'refund 100']]).toContainEqual(bookings);
      });
      if (status === 'shipped') shipped++;
    }
    expect(await customer.stockOf(pen)).toBe(1000 - shipped);
  });

  it('cannot cancel what is shipped', async () => {
    const id = await customer.order();
    await customer.until(id, 'paid');
    await customer.packed(id);
    await customer.until(id, 'shipped');
    const reply = await customer.cancel(id);
    expect(reply.json).toMatchObject({ status: 409, type: expect.stringMatching(/order-shipped$/) });
    expect(await customer.bookingsOf(id)).toEqual(['charge 100']);
  });

  it('tries a cancelled order again, and pays for it once more', async () => {
    const pen = await customer.stocked(5);
    const id = await customer.order({ items: [{ productId: pen, quantity: 2 }] });
    await customer.until(id, 'paid');
    expect((await customer.retry(id)).status).toBe(409);
    await customer.cancel(id);
    await eventually(async () => expect((await customer.retry(id)).status).toBe(202));
    await customer.until(id, 'paid');
    expect(await customer.stockOf(pen)).toBe(3);
    await customer.packed(id);
    await customer.until(id, 'shipped');
    expect((await customer.bookingsOf(id)).toSorted()).toEqual(['charge 200', 'charge 200', 'refund 200']);
  });
});
