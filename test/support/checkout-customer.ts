import { randomUUID } from 'node:crypto';
import { eventually } from '@nestbox/testing';
import type { Reply, RunningShop } from './running-shop.js';

export interface Step {
  name: string;
  kind: string;
  status: string;
  attempts: number;
  durationMs: number | null;
  error: string | null;
}

export interface Progress {
  id: string;
  status: string;
  error: string | null;
  steps: Step[];
}

export interface Payment {
  card: string;
  amount: number;
  closed: boolean;
  requests: number;
  log: { kind: string; amount: number; key: string }[];
}

interface Placed {
  /** Default: a product of its own, of which 10 are there. */
  items?: { productId: string; quantity: number }[];
  card?: string;
}

/** Orders, and follows what becomes of it. */
export class CheckoutCustomer {
  constructor(public shop: RunningShop) {}

  async stocked(stock = 10, price = 100): Promise<string> {
    const id = `product-${randomUUID()}`;
    const { status } = await this.shop.put(`/products/${id}`, { name: 'Thing', price, stock });
    if (status !== 201) throw new Error(`The product was answered with ${status}.`);
    return id;
  }

  async stockOf(id: string): Promise<number> {
    return ((await this.shop.get(`/products/${id}`)).json as { stock: number }).stock;
  }

  /** @returns the id of the order */
  async order({ items, card }: Placed = {}): Promise<string> {
    const wanted = items ?? [{ productId: await this.stocked(), quantity: 1 }];
    const { status, json } = await this.shop.order(randomUUID(), { items: wanted, card });
    if (status !== 201) throw new Error(`The order was answered with ${status}.`);
    return (json as { id: string }).id;
  }

  /** Puts it in a cart, and confirms that. @returns the id of the order */
  async confirm(productId: string, quantity: number, card?: string): Promise<string> {
    const path = (await this.shop.send('POST', '/carts')).headers.get('location')!;
    await this.shop.send('POST', `${path}/items`, { body: { productId, quantity } });
    const { status, json } = await this.shop.send('POST', `${path}/confirm`, { body: { card } });
    if (status !== 200) throw new Error(`The cart was answered with ${status}.`);
    return (json as { orderId: string }).orderId;
  }

  async progress(id: string): Promise<Progress> {
    const { status, json } = await this.shop.get(`/orders/${id}/steps`);
    if (status !== 200) throw new Error(`The steps were answered with ${status}.`);
    return json as Progress;
  }

  async stepsOf(id: string): Promise<Record<string, Step>> {
    return Object.fromEntries((await this.progress(id)).steps.map((step) => [step.name, step]));
  }

  /** Waits until the order has come so far. */
  async until(id: string, status: string): Promise<Progress> {
    return eventually(
      async () => {
        const progress = await this.progress(id).catch(() => undefined);
        return progress?.status === status && progress;
      },
      { timeoutMs: 30_000 },
    ) as Promise<Progress>;
  }

  /** The types of what has happened to it. */
  async historyOf(id: string): Promise<string[]> {
    const { json } = await this.shop.get(`/orders/${id}/history`);
    return (json as { events: { type: string }[] }).events.map(({ type }) => type);
  }

  async paymentsOf(id: string): Promise<Payment[]> {
    return ((await this.shop.get(`/orders/${id}/payments`)).json as { payments: Payment[] }).payments;
  }

  /** What the provider's log has of it, as `charge 100`. */
  async bookingsOf(id: string): Promise<string[]> {
    return (await this.paymentsOf(id)).flatMap(({ log }) =>
      log.map(({ kind, amount }) => `${kind} ${amount}`),
    );
  }

  packed(id: string, body?: object): Promise<Reply> {
    return this.shop.send('POST', `/orders/${id}/packed`, { body });
  }

  cancel(id: string): Promise<Reply> {
    return this.shop.send('POST', `/orders/${id}/cancel`);
  }

  retry(id: string): Promise<Reply> {
    return this.shop.send('POST', `/orders/${id}/retry`);
  }
}
