import type { Event } from '@nestbox/event-store';
import type { Line } from './line.js';

export type OrderPlaced = Event<
  'OrderPlaced',
  {
    /** ISO 8601, UTC. */
    placedAt: string;
    /** In cents. */
    total: number;
    /** The cart that it comes from. */
    cartId?: string;
  }
>;

/** One for each line of an order, behind its OrderPlaced. */
export type ProductSold = Event<'ProductSold', Line>;

/** All that can happen to an order. */
export type OrderEvent = OrderPlaced | ProductSold;

const PREFIX = 'order-';

/** The stream in which an order's events are. */
export function orderStream(id: string): string {
  return `${PREFIX}${id}`;
}

/** The order whose events are in a stream. */
export function orderIdOf(streamName: string): string {
  return streamName.slice(PREFIX.length);
}
