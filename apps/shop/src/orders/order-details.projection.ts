import { type DocumentProjection, Projection, type ReadEvent } from '@nestbox/event-store';
import { statusAfter } from './order-state.js';
import { ORDER_EVENTS, type OrderEvent, orderIdOf } from './order.events.js';
import type { OrderDetails } from './order.js';

/** The collection of the orders, by the names of their streams. */
export const ORDER_DETAILS = 'order-details';

/** Puts together what was ordered and how far it has come, in the transaction of what happens to the order. */
@Projection({
  name: ORDER_DETAILS,
  mode: 'inline',
  events: [...ORDER_EVENTS],
  indexes: ['createdAt', 'customerId'],
})
export class OrderDetailsProjection implements DocumentProjection<OrderDetails, OrderEvent> {
  evolve(order: OrderDetails | null, event: ReadEvent<OrderEvent>): OrderDetails | null {
    return evolveDetails(order, event);
  }
}

/** The order after an event. */
export function evolveDetails(order: OrderDetails | null, event: ReadEvent<OrderEvent>): OrderDetails | null {
  const { type, data, metadata } = event;
  if (type === 'OrderPlaced') {
    const { total, placedAt: createdAt, cartId, customerId } = data;
    return {
      id: orderIdOf(metadata.streamName),
      items: [],
      total,
      createdAt,
      status: 'placed',
      ...(cartId !== undefined && { cartId }),
      ...(customerId !== undefined && { customerId }),
    };
  }
  // One of before there was a status has none.
  const { status = 'placed' } = order ?? {};
  if (type === 'ProductSold' && status === 'placed') {
    return order && { ...order, items: [...order.items, data] };
  }
  return order && { ...order, status: statusAfter(status, event) };
}
