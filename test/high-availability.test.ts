import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Postgres } from '@nestbox/postgres';
import {
  eventually,
  startPostgresWithStandby,
  type TestDatabase,
  type TestPostgresWithStandby,
} from '@nestbox/testing';
import fc from 'fast-check';
import { CheckoutCustomer } from './support/checkout-customer.js';
import { LiveClient } from './support/live-client.js';
import { type RunningShop, startShop } from './support/running-shop.js';
import { SteadyCustomers, type Sold } from './support/steady-customers.js';

/** Two servers, two instances of the shop and two failovers, on a machine that may be busy. */
jest.setTimeout(240_000);

const STOCK = 1_000_000;

let servers: TestPostgresWithStandby;
let database: TestDatabase;
let postgres: Postgres;
let shops: RunningShop[];

beforeAll(async () => {
  servers = await startPostgresWithStandby();
  database = await servers.createDatabase();
  postgres = new Postgres(database.url);
  const env = { DATABASE_URL: database.url, PAYMENT_LATENCY: '5ms', CARRIER_LATENCY: '5ms' };
  shops = await Promise.all([startShop(env), startShop(env)]);
});

afterAll(async () => {
  await Promise.all((shops ?? []).map((shop) => shop[Symbol.asyncDispose]()));
  await postgres?.close();
  await servers?.[Symbol.asyncDispose]();
});

/** Asks an instance how it is, again and again. */
class HealthWatch {
  /** The statuses that it has given, without repetitions. */
  readonly seen: number[] = [];
  private stopping = false;
  private readonly running: Promise<void>;

  constructor(shop: RunningShop) {
    this.running = this.watch(shop);
  }

  get latest(): number | undefined {
    return this.seen.at(-1);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  private async watch(shop: RunningShop): Promise<void> {
    while (!this.stopping) {
      const reply = await shop.get('/health').catch(() => undefined);
      if (reply === undefined) return;
      if (this.latest !== reply.status) this.seen.push(reply.status);
      await sleep(20);
    }
  }
}

/** What each order has sold, by its id, as the events have it. */
async function soldOrders(): Promise<Map<string, Sold[]>> {
  const rows = await postgres.query<{ stream: string; placed: number; sold: Sold[] }>(`
    select stream_id as stream, count(*) filter (where message_type = 'OrderPlaced')::int as placed,
           jsonb_agg(jsonb_build_object('productId', message_data -> 'productId', 'quantity', message_data -> 'quantity')
                     order by stream_position) filter (where message_type = 'ProductSold') as sold
      from event_store.emt_messages
     where stream_id like 'order-%'
     group by stream_id`);
  for (const { stream, placed } of rows) expect({ stream, placed }).toEqual({ stream, placed: 1 });
  return new Map(rows.map(({ stream, sold }) => [stream.slice('order-'.length), sold]));
}

/** How much of each product was sold. */
function sumOf(orders: Iterable<Sold[]>): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { productId, quantity } of [...orders].flat())
    sums[productId] = (sums[productId] ?? 0) + quantity;
  return sums;
}

describe('A shop whose primary is killed and whose standby is promoted', () => {
  it('loses no order that it acknowledged, and goes on by itself', async () => {
    const customer = new CheckoutCustomer(shops[0]!);
    const products = [await customer.stocked(STOCK, 5), await customer.stocked(STOCK, 7)];
    const live = await LiveClient.open(shops[1]!.url);
    await live.join('orders');

    const health = new HealthWatch(shops[1]!);
    const plan = fc.array(fc.integer({ min: 5, max: 40 }), { minLength: 2, maxLength: 2 });
    const customers = new SteadyCustomers(shops, products);
    customers.start(6);
    await fc.assert(
      fc.asyncProperty(plan, async (killedAfter) => {
        for (const orders of killedAfter) {
          await servers.rejoin();
          await customers.acknowledge(orders);
          await servers.primary.kill();
          const { failures } = customers;
          await eventually(() => customers.failures > failures + 10);
          await eventually(() => health.latest === 503);
          await servers.promote();
          await customers.acknowledge(20);
        }
      }),
      { numRuns: 1, endOnFailure: true },
    );
    await customers.stop();
    await eventually(() => health.latest === 200);
    await health.stop();

    const { acknowledged, givenUp, surprises } = customers;
    expect(surprises).toEqual([]);
    const orders = await soldOrders();
    for (const [id, items] of acknowledged) expect([id, orders.get(id)]).toEqual([id, items]);
    expect(orders.size).toBeLessThanOrEqual(acknowledged.size + givenUp);

    const sums = sumOf(orders.values());
    for (const id of products) expect(await customer.stockOf(id)).toBe(STOCK - sums[id]!);
    await eventually(async () => {
      const sales = (await shops[1]!.get('/sales')).json as { products: Sold[] };
      const counted = sales.products.map(({ productId, quantity }) => [productId, quantity]);
      expect(Object.fromEntries(counted)).toEqual(sums);
    });

    // Every checkout goes on to its end, whenever it was interrupted.
    for (const id of orders.keys())
      await eventually(async () => expect(await customer.packed(id)).toMatchObject({ status: 202 }));
    await eventually(
      async () => {
        const runs = await postgres.query(
          `select status, count(*)::int as count from workflows.workflow_runs
            where workflow = 'shop.checkout' group by status`,
        );
        expect(runs).toEqual([{ status: 'completed', count: orders.size }]);
      },
      { timeoutMs: 60_000 },
    );

    for (const [id] of [...orders].slice(0, 20)) expect(await customer.bookingsOf(id)).toHaveLength(1);

    // Who looked on has seen every order, and no other, on the same connection; some twice, as reactors have it.
    const seen = (): string[] => live.of('orders').map((news) => (news as { id: string }).id);
    await eventually(() => expect(new Set(seen())).toEqual(new Set(orders.keys())));
    expect(live.closedWith).toBeUndefined();
    await live.close();

    expect(health.seen).toEqual([200, 503, 200, 503, 200]);
    for (const { process } of shops) {
      expect(await Promise.race([process.exited, Promise.resolve('runs')])).toBe('runs');
    }
  });
});
