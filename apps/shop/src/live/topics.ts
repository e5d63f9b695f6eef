import { MAX_NAME_BYTES, textProblem } from '@nestbox/core';
import { z } from 'zod';
import type { HistoryEntry } from '../history/history-entry.js';
import type { StepView } from '../checkout/step-view.js';
import type { Line } from '../orders/line.js';
import type { OrderEvent } from '../orders/order.events.js';

/** What is published about. */
export interface ShopTopics {
  /** `stock.<product id>`: how many are left, and for how much. */
  [stock: `stock.${string}`]: StockChange;
  /** `carts.<cart id>`: what happens to it. */
  [cart: `carts.${string}`]: CartNews;
  /** `orders.<order id>`: what happens to it, and the steps of its checkout. */
  [order: `orders.${string}`]: OrderProgress;
  /** Orders as they come in. */
  orders: OrderNews;
  /** Each line of an order, for those who add up. */
  sales: SaleNews;
}

export interface StockChange {
  id: string;
  /** Null when the product is gone. */
  stock: number | null;
  /** In cents; null when the product is gone. */
  price: number | null;
  /** Of the product, as text; what has a lower one than was seen before is old news. */
  version: string;
}

/** An event of a cart, as in its history. */
export interface CartNews extends HistoryEntry {
  id: string;
}

/** What happens to an order, as in its history; or steps of its checkout that have begun or ended. */
export type OrderProgress =
  | { id: string; event: HistoryEntry<OrderEvent> }
  | {
      id: string;
      steps: readonly StepView[];
      /** That the checkout has `completed` or `failed`, say, or is `parked` since it waits. */
      end?: string;
    };

export interface OrderNews {
  id: string;
  items: { productId: string; quantity: number }[];
  /** In cents. */
  total: number;
}

export interface SaleNews extends Line {
  /** In the log, as text; `GET /sales` tells which of them it has counted. */
  position: string;
}

/** Where announcements go that name no topic. */
export const ANNOUNCEMENTS = 'announcements';

/** How much is kept for those who were away for a moment. */
export const HISTORY = { size: 200, ttl: '10m' } as const;

export function stockTopic(productId: string): `stock.${string}` {
  return `stock.${productId}`;
}

export function cartTopic(cartId: string): `carts.${string}` {
  return `carts.${cartId}`;
}

export function orderTopic(orderId: string): `orders.${string}` {
  return `orders.${orderId}`;
}

/** The name of a topic, as a client may give it. */
export const topicName = z.string('must be a text.').superRefine((topic, context) => {
  const problem =
    topic === ''
      ? 'must not be empty.'
      : Buffer.byteLength(topic) > MAX_NAME_BYTES
        ? `must be at most ${MAX_NAME_BYTES} bytes long.`
        : textProblem(topic);
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
});

/** Where a client left off, as it was told with the last message that it saw. */
export const position = z.strictObject({
  epoch: z.string('must be a text.').min(1).max(200),
  offset: z.number('must be a whole number.').int().min(0),
});
