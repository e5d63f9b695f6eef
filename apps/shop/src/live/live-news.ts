import { messageOf } from '@nestbox/core';
import { type DataOf, EventHubService, type TopicOf } from '@nestbox/event-hub';
import { Injectable, Logger } from '@nestjs/common';
import type { HistoryEntry } from '../history/history-entry.js';
import type { Product } from '../catalogue/product.js';
import type { StepView } from '../checkout/step-view.js';
import { type Line, toLine } from '../orders/line.js';
import type { OrderEvent } from '../orders/order.events.js';
import type { Order } from '../orders/order.js';
import { cartTopic, orderTopic, type ShopTopics, stockTopic } from './topics.js';

/**
 * Tells everybody who looks what has changed, once it is committed. What is told of an event rejects when the hub cannot
 * be reached, since it can be told later; what is only of the moment never does. A shop without a hub goes on selling.
 */
@Injectable()
export class LiveNews {
  private readonly logger = new Logger('LiveNews');

  constructor(private readonly hub: EventHubService<ShopTopics>) {}

  async orderPlaced({ id, items, total }: Order): Promise<void> {
    const sold = items.map(({ productId, quantity }) => ({ productId, quantity }));
    await this.hub.publish('orders', { id, items: sold, total });
  }

  async cartChanged(id: string, entry: HistoryEntry): Promise<void> {
    await this.hub.publish(cartTopic(id), { id, ...entry });
  }

  async orderChanged(id: string, entry: HistoryEntry<OrderEvent>): Promise<void> {
    await this.hub.publish(orderTopic(id), { id, event: entry });
  }

  async productSold(line: Line, position: bigint): Promise<void> {
    await this.hub.publish('sales', { ...toLine(line), position: String(position) });
  }

  /** Never rejects. @param product undefined when it is gone */
  productChanged(id: string, product: Product | undefined, version: bigint): Promise<void> {
    const { stock = null, price = null } = product ?? {};
    return this.tryToTell(stockTopic(id), { id, stock, price, version: String(version) });
  }

  /**
   * Never rejects.
   *
   * @param end how its checkout has ended, or that it waits
   */
  stepsChanged(id: string, steps: readonly StepView[], end: string | undefined): Promise<void> {
    return this.tryToTell(orderTopic(id), { id, steps, ...(end !== undefined && { end }) });
  }

  private async tryToTell<Topic extends TopicOf<ShopTopics>>(
    topic: Topic,
    data: DataOf<ShopTopics, Topic>,
  ): Promise<void> {
    try {
      await this.hub.publish(topic, data);
    } catch (error) {
      this.logger.warn(`Nobody was told of ${topic}: ${messageOf(error)}`);
    }
  }
}
