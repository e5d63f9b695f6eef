import { type Line, toLine, totalOf } from '../orders/line.js';
import type { CartEvent } from './cart.events.js';
import { cartConfirmed, cartEmpty, cartFull, notInCart } from './cart.problems.js';

/** How many different products a cart may have, as many as an order. */
export const MAX_LINES = 100;

/** How many of one product a cart may have, as many as an order. */
export const MAX_QUANTITY = 10_000;

/** What has become of a cart. It is what its events add up to: as a document, as of a version, and to decide on. */
export interface Cart {
  status: 'open' | 'confirmed';
  /** In the order in which the products came in. */
  items: Line[];
  /** How many events there were, which is the version of the stream. */
  version: number;
  orderId?: string;
  /** ISO 8601, UTC. */
  confirmedAt?: string;
}

/** What can be asked of a cart that is there. */
export type CartCommand =
  | { type: 'AddProductItem'; data: Line }
  /** All that there are, where there is no quantity. */
  | { type: 'RemoveProductItem'; data: { productId: string; quantity?: number | undefined } }
  | { type: 'Confirm'; data: { orderId: string; confirmedAt: string } };

/** The cart after an event. */
export function evolve(cart: Cart | null, { type, data }: CartEvent): Cart {
  const { version, ...before } = cart ?? { status: 'open', items: [], version: 0 };
  const after = { ...before, version: version + 1 };
  switch (type) {
    case 'ShoppingCartOpened':
      return after;
    case 'ProductItemAdded':
      return { ...after, items: withItem(before.items, data) };
    case 'ProductItemRemoved':
      return { ...after, items: withoutItem(before.items, data.productId, data.quantity) };
    case 'ShoppingCartConfirmed':
      return { ...after, status: 'confirmed', orderId: data.orderId, confirmedAt: data.confirmedAt };
  }
}

/**
 * What happens to a cart when something is asked of it; nothing where it is confirmed already, so that the question
 * may be repeated.
 *
 * @throws ProblemError with 404 or 409 when the cart is in no state for it
 */
export function decide(command: CartCommand, cart: Cart): CartEvent[] {
  switch (command.type) {
    case 'AddProductItem': {
      const { data } = command;
      assertOpen(cart);
      const present = cart.items.find(({ productId }) => productId === data.productId);
      if (present === undefined && cart.items.length === MAX_LINES) {
        throw cartFull(`A cart holds at most ${MAX_LINES} different products.`);
      }
      if ((present?.quantity ?? 0) + data.quantity > MAX_QUANTITY) {
        throw cartFull(`A cart holds at most ${MAX_QUANTITY} of one product.`);
      }
      return [{ type: 'ProductItemAdded', data }];
    }
    case 'RemoveProductItem': {
      const { productId, quantity: asked } = command.data;
      assertOpen(cart);
      const present = cart.items.find((item) => item.productId === productId);
      const quantity = asked ?? present?.quantity ?? 0;
      if (present === undefined || quantity > present.quantity) throw notInCart(productId, present?.quantity);
      return [{ type: 'ProductItemRemoved', data: { productId, quantity } }];
    }
    case 'Confirm':
      if (cart.status === 'confirmed') return [];
      if (cart.items.length === 0) throw cartEmpty();
      return [{ type: 'ShoppingCartConfirmed', data: command.data }];
  }
}

/** A cart as clients see it. The order of its properties is fixed, so that one entity tag means one text. */
export function toRepresentation(id: string, { status, items, version, orderId, confirmedAt }: Cart) {
  return {
    id,
    status,
    items: items.map(toLine),
    total: totalOf(items),
    version,
    orderId,
    confirmedAt,
  };
}

/** Name and price of all of them are those of the last one that came in. */
function withItem(items: readonly Line[], item: Line): Line[] {
  const i = items.findIndex(({ productId }) => productId === item.productId);
  const present = items[i];
  return present === undefined
    ? [...items, item]
    : items.with(i, { ...item, quantity: present.quantity + item.quantity });
}

function withoutItem(items: readonly Line[], productId: string, quantity: number): Line[] {
  return items.flatMap((item) => {
    if (item.productId !== productId) return [item];
    return item.quantity > quantity ? [{ ...item, quantity: item.quantity - quantity }] : [];
  });
}

function assertOpen({ status }: Cart): void {
  if (status === 'confirmed') throw cartConfirmed();
}
