import type { ReadEvent } from '@nestbox/event-store';
import type { CartEvent } from './cart.events.js';

/** An event of a cart as clients see it. */
export interface HistoryEntry {
  /** Of the cart, after the event. */
  version: number;
  /** In the log of the whole shop, as text. */
  position: string;
  type: CartEvent['type'];
  data: CartEvent['data'];
  /** When it happened, by the database's clock. ISO 8601, UTC. */
  at: string;
}

export function toHistoryEntry({ type, data, metadata }: ReadEvent<CartEvent>): HistoryEntry {
  return {
    version: Number(metadata.streamPosition),
    position: String(metadata.globalPosition),
    type,
    data,
    at: metadata.createdAt.toISOString(),
  };
}
