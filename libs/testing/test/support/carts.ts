import { singleStreamProjection, type Event } from '@nestbox/event-store';
import { eventsInStream, SpecFailedError } from '@nestbox/testing/event-store';

export type Added = Event<'Added', { sku: string; quantity: number }, { by?: string }>;
type Confirmed = Event<'Confirmed', Record<string, never>>;
type Emptied = Event<'Emptied', Record<string, never>>;
type CartEvent = Added | Confirmed | Emptied;

export interface Cart {
  items: { sku: string; quantity: number }[];
  total: { quantity: number; lines: number };
  confirmedAt?: string;
}

export class NoQuantityError extends Error {
  constructor(readonly sku: string) {
    super(`Nothing of ${sku} was added.`);
  }
}

export const added = (sku: string, quantity: number): Added => ({ type: 'Added', data: { sku, quantity } });
export const confirmed: Confirmed = { type: 'Confirmed', data: {} };
export const emptied: Emptied = { type: 'Emptied', data: {} };

export const carts = singleStreamProjection<Cart, CartEvent>({
  name: 'carts',
  collectionName: 'carts',
  canHandle: ['Added', 'Confirmed', 'Emptied'],
  evolve: (cart, event) => {
    const { items, total } = cart ?? { items: [], total: { quantity: 0, lines: 0 } };
    switch (event.type) {
      case 'Added':
        if (event.data.quantity === 0) throw new NoQuantityError(event.data.sku);
        return {
          items: [...items, event.data],
          total: { quantity: total.quantity + event.data.quantity, lines: total.lines + 1 },
        };
      case 'Confirmed':
        return { items, total, confirmedAt: event.metadata.createdAt.toISOString() };
      case 'Emptied':
        return null;
    }
  },
});

export const inCart1 = eventsInStream('cart-1', [added('tea', 2), added('ink', 1)]);
export const cart1 = {
  _id: 'cart-1',
  items: [
    { sku: 'tea', quantity: 2 },
    { sku: 'ink', quantity: 1 },
  ],
  total: { quantity: 3, lines: 2 },
};

/** What does not hold in a spec. */
export async function failureOf(run: Promise<void>): Promise<SpecFailedError> {
  const error: unknown = await run.then(
    () => new Error('It held.'),
    (reason: unknown) => reason,
  );
  if (error instanceof SpecFailedError) return error;
  throw error;
}

/** Says so where there is nothing else to expect. */
export async function expectToHold(...runs: Promise<void>[]): Promise<void> {
  await Promise.all(runs);
}
