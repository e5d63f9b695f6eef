import { BackplaneError } from '@nestbox/channels';
import { messageOf } from '@nestbox/core';
import { Reactor, type ReactorHandler, type ReadEvent } from '@nestbox/event-store';
import { Inject, Logger } from '@nestjs/common';
import { CART_EVENTS, type CartEvent, cartIdOf } from '../carts/cart.events.js';
import { toHistoryEntry } from '../history/history-entry.js';
import type { ShopConfig } from '../config.js';
import { ORDER_EVENTS, type OrderEvent, orderIdOf } from '../orders/order.events.js';
import { isTurn } from '../orders/order-state.js';
import { Orders } from '../orders/orders.js';
import { SHOP_CONFIG } from '../tokens.js';
import { LiveNews } from './live-news.js';

/** From then on news is dropped that Redis does not take, since it would hold up what follows. */
const OLD_MS = 30_000;

/**
 * Tells everybody who looks what has happened to carts and orders. One instance does it for all, and the hub reaches
 * those who are connected to the others. What is told twice, after a crash, has the same version, id or position.
 *
 * While PostgreSQL is away, nothing is handled, and nothing is lost. Redis may be away while events go on; when it is
 * back, what is recent by then is told.
 */
@Reactor({
  id: 'live-news',
  events: [...CART_EVENTS, ...ORDER_EVENTS],
  startFrom: 'END',
  retry: { attempts: 60, max: '1s' },
})
export class NewsReactor implements ReactorHandler<CartEvent | OrderEvent> {
  private readonly logger = new Logger('NewsReactor');

  constructor(
    private readonly news: LiveNews,
    private readonly orders: Orders,
    @Inject(SHOP_CONFIG) private readonly config: Pick<ShopConfig, 'redisUrl'>,
  ) {}

  async handle(event: ReadEvent<CartEvent | OrderEvent>): Promise<void> {
    try {
      await this.tell(event);
    } catch (error) {
      const { createdAt, globalPosition } = event.metadata;
      const isOld = Date.now() - createdAt.getTime() >= OLD_MS;
      if (this.config.redisUrl === undefined || !isOld || !(error instanceof BackplaneError)) throw error;
      this.logger.warn(`Nobody was told of ${event.type} at ${globalPosition}: ${messageOf(error)}`);
    }
  }

  private async tell(event: ReadEvent<CartEvent | OrderEvent>): Promise<void> {
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
