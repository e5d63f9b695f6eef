import { type DocumentProjection, Projection, type ReadEvent } from '@nestbox/event-store';
import { CART_EVENTS, type CartEvent } from './cart.events.js';
import { type Cart, evolve } from './cart.js';

/** The collection of the carts as they are now, by the names of their streams. */
export const CART_DETAILS = 'cart-details';

/** Keeps each cart as it is now: in the transaction of its events, so that who has written reads what was written. */
@Projection({ name: CART_DETAILS, mode: 'inline', events: CART_EVENTS })
export class CartDetailsProjection implements DocumentProjection<Cart, CartEvent> {
  evolve(cart: Cart | null, event: ReadEvent<CartEvent>): Cart {
    return evolve(cart, event);
  }
}
