import { z } from 'zod';
import { productId } from '../catalogue/product.js';
import { customerId } from '../customers/customer.js';
import { filledText, wholeNumber, wholeNumberText } from '../http/text.js';
import { cardToken } from '../payments/card.js';
import { MAX_QUANTITY } from './cart.js';

/** A cart's id: a UUID that the shop gives, or whatever a client chose. */
export const cartId = filledText(100);

/** The body of `POST /carts/:id/items`. */
export const itemBody = z.strictObject(
  { productId, quantity: wholeNumber(1, MAX_QUANTITY).default(1) },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object.' : undefined) },
);
export type ItemBody = z.output<typeof itemBody>;

/** The body of `POST /carts/:id/confirm`, if there is one. */
export const confirmBody = z
  .strictObject(
    { card: cardToken.optional(), customerId: customerId.optional() },
    { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object.' : undefined) },
  )
  .default({});

/** What comes with `DELETE /carts/:id/items/:sku`. */
export const removeQuery = z.strictObject({ quantity: wholeNumberText(1, MAX_QUANTITY).optional() });

/** What comes with `GET /carts/:id`. */
export const cartQuery = z.strictObject({ version: wholeNumberText(1, 999_999_999).optional() });
