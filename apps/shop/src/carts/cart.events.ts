import type { Event } from '@nestbox/event-store';
import type { Line } from '../orders/line.js';

/** Metadata of what a client asked for under an `Idempotency-Key`. */
interface UnderKey {
  idempotencyKey?: string;
}

export type ShoppingCartOpened = Event<'ShoppingCartOpened', Record<string, never>>;

export type ProductItemAdded = Event<'ProductItemAdded', Line, UnderKey>;

export type ProductItemRemoved = Event<
  'ProductItemRemoved',
  { productId: string; quantity: number },
  UnderKey
>;

export type ShoppingCartConfirmed = Event<
  'ShoppingCartConfirmed',
  {
    /** The order that it became. */
    orderId: string;
    /** ISO 8601, UTC. */
    confirmedAt: string;
  }
>;

/** All that can happen to a shopping cart. */
export type CartEvent = ShoppingCartOpened | ProductItemAdded | ProductItemRemoved | ShoppingCartConfirmed;

export const CART_EVENTS = [
  'ShoppingCartOpened',
  'ProductItemAdded',
  'ProductItemRemoved',
  'ShoppingCartConfirmed',
] as const satisfies readonly CartEvent['type'][];

const PREFIX = 'cart-';

/** The stream in which a cart's events are. */
export function cartStream(id: string): string {
  return `${PREFIX}${id}`;
}

/** The cart whose events are in a stream. */
export function cartIdOf(streamName: string): string {
  return streamName.slice(PREFIX.length);
}

/** The same event, to be recognized by the key under which it was asked for. */
export function underKey(event: CartEvent, idempotencyKey: string): CartEvent {
  return { ...event, metadata: { ...event.metadata, idempotencyKey } };
}

export function keyOf({ metadata }: CartEvent): string | undefined {
  return metadata !== undefined && 'idempotencyKey' in metadata ? metadata.idempotencyKey : undefined;
}
