import type { ReadEvent } from '@nestbox/event-store';
import type { Response } from 'express';
import { z } from 'zod';
import type { CartEvent } from '../carts/cart.events.js';
import { linkNext } from '../http/paging.js';
import { wholeNumberText } from '../http/text.js';
import type { OrderEvent } from '../orders/order.events.js';
import { type HistoryEntry, toHistoryEntry } from './history-entry.js';

/** How many events of a history there are at once. */
const MAX_EVENTS = 500;

/** What comes with `GET /carts/:id/history` and `GET /orders/:id/history`. */
export const historyQuery = z.strictObject({
  after: wholeNumberText(0, 999_999_999).default(0),
  limit: wholeNumberText(1, MAX_EVENTS).default(100),
});
export type HistoryQuery = z.output<typeof historyQuery>;

/** Some events of a cart or an order, and the version that it has now. */
export interface History<Of extends CartEvent | OrderEvent> {
  events: ReadEvent<Of>[];
  version: bigint;
}

/**
 * What has happened, as clients see it, with a link to what follows.
 *
 * @param path of the cart or the order
 */
export function answerHistory<Of extends CartEvent | OrderEvent>(
  response: Response,
  path: string,
  { limit }: HistoryQuery,
  { events, version }: History<Of>,
): { version: number; events: HistoryEntry<Of>[] } {
  const entries = events.map((event) => toHistoryEntry<Of>(event));
  const last = entries.at(-1)?.version;
  const hasMore = last !== undefined && BigInt(last) < version;
  linkNext(response, `${path}/history`, { after: hasMore ? last : undefined, limit });
  response.set('Cache-Control', 'no-cache');
  return { version: Number(version), events: entries };
}
