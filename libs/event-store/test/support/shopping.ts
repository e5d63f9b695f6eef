import type { Event } from '@nestbox/event-store';

export type ItemAdded = Event<'ItemAdded', { product: string; quantity: number }>;
export type Confirmed = Event<'Confirmed', { by: string }>;
export type CartEvent = ItemAdded | Confirmed;

export const added = (product: string, quantity = 1): ItemAdded => ({
  type: 'ItemAdded',
  data: { product, quantity },
});

export const confirmed = (by = 'ann'): Confirmed => ({ type: 'Confirmed', data: { by } });
