import type { ReadEvent } from '@nestbox/event-store';
import type { OrderEvent } from '../orders/order.events.js';
import type { CartEvent } from '../carts/cart.events.js';

/** An event of a cart or an order as clients see it. */
export interface HistoryEntry<Of extends CartEvent | OrderEvent = CartEvent> {
  /** Of the cart or the order, after the event. */
  version: number;
  /** In the log of the whole shop, as text. */
  position: string;
  type: Of['type'];
  data: Of['data'];
  /** When it happened, by the database's clock. ISO 8601, UTC. */
  at: string;
  /** Of the event. */
  messageId: string;
  /** The request that began what the event belongs to; null where nobody has noted it. */
  correlationId: string | null;
  /** The request that has led to it, or the event, by its `messageId`; null where nobody has noted it. */
  causationId: string | null;
}

export function toHistoryEntry<Of extends CartEvent | OrderEvent>({
  type,
  data,
  metadata,
}: ReadEvent<Of>): HistoryEntry<Of> {
  return {
    version: Number(metadata.streamPosition),
    position: String(metadata.globalPosition),
    type,
    data,
    at: metadata.createdAt.toISOString(),
    messageId: metadata.messageId,
    correlationId: metadata.correlationId ?? null,
    causationId: metadata.causationId ?? null,
  };
}
