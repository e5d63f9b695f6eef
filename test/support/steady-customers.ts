import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '@nestbox/testing';
import type { Reply, RunningShop } from './running-shop.js';

export interface Sold {
  productId: string;
  quantity: number;
}

/** What a customer does between two tries. */
const PAUSE_MS = 20;
/** One in so many goes through a cart, and one in so many gives up at the first failure. */
const CART = 3;
const GIVES_UP = 5;

/**
 * Customers who buy without a pause. Most of them ask again, with the same key, until they are answered; some give up
 * at the first failure and never know whether they have bought.
 */
export class SteadyCustomers {
  /** What was ordered, by the ids of the orders that were acknowledged. */
  readonly acknowledged = new Map<string, Sold[]>();
  /** How many gave up. */
  givenUp = 0;
  /** How often the shop failed to answer, or answered with 5xx. */
  failures = 0;
  /** Answers that nobody should get. */
  readonly surprises: string[] = [];
  private purchases = 0;
  private stopping = false;
  private running: Promise<void>[] = [];

  /** @param products two at the least, with more in stock than anybody buys */
  constructor(
    private readonly shops: readonly RunningShop[],
    private readonly products: readonly string[],
  ) {}

  start(count: number): void {
    this.running = Array.from({ length: count }, () => this.buyOn());
  }

  /** Resolves when everybody has been answered, or has given up. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.running);
  }

  /** Resolves when so many more orders have been acknowledged. */
  async acknowledge(more: number): Promise<void> {
    const goal = this.acknowledged.size + more;
    await eventually(() => this.acknowledged.size >= goal, { timeoutMs: 60_000, intervalMs: 5 });
  }

  private async buyOn(): Promise<void> {
    while (!this.stopping) {
      const i = this.purchases++;
      const items = this.products
        .slice(i % 2)
        .map((productId, n) => ({ productId, quantity: 1 + ((i + n) % 3) }));
      if (i % CART === 0) await this.buyInCart(i, items[0]!);
      else await this.buyAtOnce(i, items);
    }
  }

  private async buyAtOnce(i: number, items: Sold[]): Promise<void> {
    const key = randomUUID();
    const reply = await this.untilAnswered(i, 201, (shop) => shop.order(key, { items }));
    if (reply !== undefined) this.acknowledged.set((reply.json as { id: string }).id, items);
  }

  private async buyInCart(i: number, item: Sold): Promise<void> {
    const headers = { 'Idempotency-Key': randomUUID() };
    const opened = await this.untilAnswered(i, 201, (shop) => shop.send('POST', '/carts'));
    const path = opened?.headers.get('location');
    if (path === null || path === undefined) return;
    const added = await this.untilAnswered(i, 200, (shop) =>
      shop.send('POST', `${path}/items`, { body: item, headers }),
    );
    if (added === undefined) return;
    const confirmed = await this.untilAnswered(i, 200, (shop) => shop.send('POST', `${path}/confirm`));
    if (confirmed !== undefined) {
      this.acknowledged.set((confirmed.json as { orderId: string }).orderId, [item]);
    }
  }

  /** Undefined for who has given up. */
  private async untilAnswered(
    i: number,
    wanted: number,
    ask: (shop: RunningShop) => Promise<Reply>,
  ): Promise<Reply | undefined> {
    for (let attempt = 0; ; attempt++) {
      const shop = this.shops[(i + attempt) % this.shops.length]!;
      const reply = await ask(shop).catch(() => undefined);
      if (reply?.status === wanted) return reply;
      if (reply !== undefined && reply.status !== 503) {
        this.surprises.push(`${reply.status} ${reply.text}`);
        return undefined;
      }
      this.failures++;
      if (i % GIVES_UP === 0) {
        this.givenUp++;
        return undefined;
      }
      await sleep(PAUSE_MS);
    }
  }
}
