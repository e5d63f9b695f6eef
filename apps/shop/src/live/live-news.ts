import { messageOf } from '@nestbox/core';
import { type DataOf, EventHubService, type TopicOf } from '@nestbox/event-hub';
import { Postgres } from '@nestbox/postgres';
import { Injectable, Logger } from '@nestjs/common';
import type { HistoryEntry } from '../carts/cart-history.js';
import type { StepView } from '../checkout/step-view.js';
import { type Line, toLine } from '../orders/line.js';
import type { OrderEvent } from '../orders/order.events.js';
import type { Order } from '../orders/order.js';
import { cartTopic, orderTopic, type ShopTopics, stockTopic } from './topics.js';

/**
 * Tells everybody who looks what has changed. Inside a transaction the news are part of it: with the hub on PostgreSQL
 * they are committed with it, with the hub on Redis they leave after the commit.
 */
@Injectable()
export class LiveNews {
  private readonly logger = new Logger('LiveNews');

  constructor(
    private readonly hub: EventHubService<ShopTopics>,
    private readonly postgres: Postgres,
  ) {}

  async stockChanged(id: string, stock: number | null, version: bigint): Promise<void> {
    await this.tell(stockTopic(id), { id, stock, version: String(version) });
  }

  async orderPlaced({ id, items, total }: Order): Promise<void> {
    const sold = items.map(({ productId, quantity }) => ({ productId, quantity }));
    await this.tell('orders', { id, items: sold, total });
  }

  async cartChanged(id: string, entry: HistoryEntry): Promise<void> {
    await this.tell(cartTopic(id), { id, ...entry });
  }

  async orderChanged(id: string, entry: HistoryEntry<OrderEvent>): Promise<void> {
    await this.tell(orderTopic(id), { id, event: entry });
  }

  /** @param end how its checkout has ended, or that it waits */
  async stepsChanged(id: string, steps: readonly StepView[], end: string | undefined): Promise<void> {
    await this.tell(orderTopic(id), { id, steps, ...(end !== undefined && { end }) });
  }

  async productSold(line: Line, position: bigint): Promise<void> {
    await this.tell('sales', { ...toLine(line), position: String(position) });
  }

  /** Outside of a transaction, a shop whose hub cannot be reached goes on selling. */
  private async tell<Topic extends TopicOf<ShopTopics>>(
    topic: Topic,
    data: DataOf<ShopTopics, Topic>,
  ): Promise<void> {
    try {
      await this.hub.publish(topic, data);
    } catch (error) {
      if (this.postgres.currentTransaction !== undefined) throw error;
      this.logger.warn(`Nobody was told of ${topic}: ${messageOf(error)}`);
    }
  }
}
