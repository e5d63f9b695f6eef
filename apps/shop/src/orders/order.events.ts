import type { Event } from '@nestbox/event-store';
import type { Line } from './line.js';
import type { Parcel } from './parcel.js';

export type OrderPlaced = Event<
  'OrderPlaced',
  {
    /** ISO 8601, UTC. */
    placedAt: string;
    /** In cents. */
    total: number;
    /** The cart that it comes from. */
    cartId?: string;
    /** Who has ordered, if it was said. */
    customerId?: string;
  }
>;

/** One for each line of an order, behind its OrderPlaced; and again when a cancelled one gets its stock anew. */
export type ProductSold = Event<'ProductSold', Line>;

/** One for each line of an order that is cancelled: what was sold is back in stock. */
export type ProductReturned = Event<'ProductReturned', Line>;

/** What was ordered is set aside, in parcels. */
export type StockReserved = Event<'StockReserved', { parcels: Parcel[] }>;

export type OrderPaid = Event<
  'OrderPaid',
  {
    paymentId: string;
    /** In cents. */
    amount: number;
  }
>;

export type OrderPacked = Event<
  'OrderPacked',
  {
    /** Who says so, if anybody. */
    by?: string;
  }
>;

/** The parcels go to the carrier: from now on the customer cannot cancel. */
export type ShippingStarted = Event<'ShippingStarted', Record<string, never>>;

export type ParcelShipped = Event<'ParcelShipped', { parcelId: string; trackingNumber: string }>;

/** All of its parcels are on their way. */
export type OrderShipped = Event<'OrderShipped', Record<string, never>>;

export type OrderCancelled = Event<
  'OrderCancelled',
  {
    /** Why, for people. */
    reason: string;
  }
>;

/** All that can happen to an order. */
export type OrderEvent =
  | OrderPlaced
  | ProductSold
  | ProductReturned
  | StockReserved
  | OrderPaid
  | OrderPacked
  | ShippingStarted
  | ParcelShipped
  | OrderShipped
  | OrderCancelled;

export const ORDER_EVENTS = [
  'OrderPlaced',
  'ProductSold',
  'ProductReturned',
  'StockReserved',
  'OrderPaid',
  'OrderPacked',
  'ShippingStarted',
  'ParcelShipped',
  'OrderShipped',
  'OrderCancelled',
] as const satisfies readonly OrderEvent['type'][];

const PREFIX = 'order-';

/** The stream in which an order's events are. */
export function orderStream(id: string): string {
  return `${PREFIX}${id}`;
}

/** The order whose events are in a stream. */
export function orderIdOf(streamName: string): string {
  return streamName.slice(PREFIX.length);
}
