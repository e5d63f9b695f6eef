import { randomUUID } from 'node:crypto';
import type { Reply, RunningShop } from './running-shop.js';

export interface Cart {
  id: string;
  status: string;
  items: { productId: string; name: string; quantity: number; unitPrice: number }[];
  total: number;
  version: number;
  orderId?: string;
}

export interface HistoryEntry {
  version: number;
  position: string;
  type: string;
  data: object;
  at: string;
  messageId: string;
  correlationId: string | null;
  causationId: string | null;
}

interface AddOptions {
  /** Default: 1. */
  quantity?: number;
  shop?: RunningShop;
  headers?: Record<string, string>;
}

/** Fills carts, at the first of two instances unless told otherwise. Carts are named by their paths. */
export class Customer {
  constructor(private readonly shops: readonly [RunningShop, RunningShop]) {}

  /** A product of which there are some. */
  async stocked(stock: number, price = 100): Promise<string> {
    const id = `product-${randomUUID()}`;
    const { status } = await this.shops[0].put(`/products/${id}`, { name: 'Thing', price, stock });
    if (status !== 201) throw new Error(`The product was answered with ${status}.`);
    return id;
  }

  async stockOf(id: string): Promise<number> {
    return ((await this.shops[0].get(`/products/${id}`)).json as { stock: number }).stock;
  }

  /** A new cart. */
  async opened(): Promise<string> {
    const { status, headers } = await this.shops[0].send('POST', '/carts');
    if (status !== 201) throw new Error(`The cart was answered with ${status}.`);
    return headers.get('location')!;
  }

  add(
    path: string,
    productId: string,
    { quantity = 1, shop = this.shops[0], headers }: AddOptions = {},
  ): Promise<Reply> {
    return shop.send('POST', `${path}/items`, { body: { productId, quantity }, headers });
  }

  confirm(path: string, shop = this.shops[0], headers?: Record<string, string>): Promise<Reply> {
    return shop.send('POST', `${path}/confirm`, { headers });
  }

  async historyOf(path: string): Promise<HistoryEntry[]> {
    return ((await this.shops[1].get(`${path}/history`)).json as { events: HistoryEntry[] }).events;
  }
}
