import { type DocumentProjection, Projection, type ReadEvent } from '@nestbox/event-store';
import { type OrderEvent, orderIdOf } from './order.events.js';
import type { Order } from './order.js';

/** The collection of the orders, by the names of their streams. */
export const ORDER_DETAILS = 'order-details';

/** Puts together what was ordered, in the transaction of the order. */
@Projection({ name: ORDER_DETAILS, mode: 'inline', events: ['OrderPlaced', 'ProductSold'] })
export class OrderDetailsProjection implements DocumentProjection<Order, OrderEvent> {
  evolve(order: Order | null, { type, data, metadata }: ReadEvent<OrderEvent>): Order | null {
    switch (type) {
      case 'OrderPlaced':
        return {
          id: orderIdOf(metadata.streamName),
          items: [],
          total: data.total,
          createdAt: data.placedAt,
          ...(data.cartId !== undefined && { cartId: data.cartId }),
        };
      case 'ProductSold':
        return order && { ...order, items: [...order.items, data] };
    }
  }
}
