import { MAX_NAME_BYTES, textProblem } from '@nestbox/core';
import { z } from 'zod';

/** What is published about. */
export interface ShopTopics {
  /** `stock.<product id>`: how many are left. */
  [stock: `stock.${string}`]: StockChange;
  /** Orders as they come in. */
  orders: OrderNews;
}

export interface StockChange {
  id: string;
  /** Null when the product is gone. */
  stock: number | null;
  /** Of the product, as text; what has a lower one than was seen before is old news. */
  version: string;
}

export interface OrderNews {
  id: string;
  items: { productId: string; quantity: number }[];
  /** In cents. */
  total: number;
}

/** Where announcements go that name no topic. */
export const ANNOUNCEMENTS = 'announcements';

/** How much is kept for those who were away for a moment. */
export const HISTORY = { size: 200, ttl: '10m' } as const;

export function stockTopic(productId: string): `stock.${string}` {
  return `stock.${productId}`;
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
