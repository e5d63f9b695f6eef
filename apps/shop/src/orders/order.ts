import { z } from 'zod';
import { productId } from '../catalogue/product.js';
import { wholeNumber } from '../http/text.js';
import { customerId } from '../customers/customer.js';
import { cardToken } from '../payments/card.js';
import { type Line, toLine, totalOf } from './line.js';
import type { OrderStatus } from './order-state.js';

const orderItem = z.strictObject({ productId, quantity: wholeNumber(1, 10_000) });

/** The body of `POST /orders`. */
export const orderRequest = z.strictObject(
  {
    items: z
      .array(orderItem, 'must be a list of items.')
      .min(1, 'must have at least one item.')
      .max(100, 'must have at most 100 items.')
      .superRefine((items, context) => {
        const seen = new Set<string>();
        items.forEach(({ productId: id }, i) => {
          if (seen.has(id)) {
            const message = 'is in the order already; put the quantities together.';
            context.addIssue({ code: 'custom', path: [i, 'productId'], message });
          }
          seen.add(id);
        });
      }),
    card: cardToken.optional(),
    customerId: customerId.optional(),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object.' : undefined) },
);
export type OrderRequest = z.output<typeof orderRequest>;

export interface Order {
  id: string;
  items: Line[];
  /** In cents. */
  total: number;
  /** ISO 8601, UTC. */
  createdAt: string;
  /** The cart that it comes from, if any. */
  cartId?: string;
  /** Who has ordered, if it was said. */
  customerId?: string;
}

/** An order as it is kept. */
export interface OrderDetails extends Order {
  status: OrderStatus;
}

/** A new order of these lines. */
export function toOrder(
  id: string,
  items: readonly Line[],
  from: Pick<Order, 'cartId' | 'customerId'> = {},
): Order {
  const createdAt = new Date().toISOString();
  return toRepresentation({ id, items: [...items], total: totalOf(items), createdAt, ...from });
}

/** The order of its properties is fixed. */
export function toRepresentation({
  id,
  items,
  total,
  createdAt,
  cartId,
  customerId: customer,
}: Order): Order {
  return {
    id,
    items: items.map(toLine),
    total,
    createdAt,
    ...(cartId !== undefined && { cartId }),
    ...(customer !== undefined && { customerId: customer }),
  };
}
