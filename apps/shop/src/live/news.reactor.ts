import { Reactor, type ReactorHandler, type ReadEvent } from '@nestbox/event-store';
import { CART_EVENTS, type CartEvent, cartIdOf } from '../carts/cart.events.js';
import { toHistoryEntry } from '../carts/cart-history.js';
import { ORDER_EVENTS, type OrderEvent, orderIdOf } from '../orders/order.events.js';
import { isTurn } from '../orders/order-state.js';
import { Orders } from '../orders/orders.js';
import { LiveNews } from './live-news.js';

/**
 * Tells everybody who looks what has happened to carts and orders. One instance does it for all, and the hub reaches
 * those who are connected to the others. What is told twice, after a crash, has the same version, id or position.
 */
@Reactor({ id: 'live-news', events: [...CART_EVENTS, ...ORDER_EVENTS], startFrom: 'END' })
export class NewsReactor implements ReactorHandler<CartEvent | OrderEvent> {
  constructor(
    private readonly news: LiveNews,
    private readonly orders: Orders,
  ) {}

  async handle(event: ReadEvent<CartEvent | OrderEvent>): Promise<void> {
    const { streamName, globalPosition } = event.metadata;
    if (isOfCart(event)) return this.news.cartChanged(cartIdOf(streamName), toHistoryEntry<CartEvent>(event));
    if (event.type === 'OrderPlaced') {
      // The lines are events of their own; the document, written in the same transaction, has them all.
      const order = await this.orders.find(orderIdOf(streamName));
      if (order !== undefined) await this.news.orderPlaced(order);
    } else if (event.type === 'ProductSold') {
      await this.news.productSold(event.data, globalPosition);
    } else if (event.type === 'ProductReturned') {
      await this.news.productSold({ ...event.data, quantity: -event.data.quantity }, globalPosition);
    } else if (isTurn(event.type)) {
      await this.news.orderChanged(orderIdOf(streamName), toHistoryEntry<OrderEvent>(event));
    }
  }
}

function isOfCart(event: ReadEvent<CartEvent | OrderEvent>): event is ReadEvent<CartEvent> {
  return CART_EVENTS.some((type) => type === event.type);
}
