import { KeyedMutex } from '@nestbox/core';
import { EventStore } from '@nestbox/event-store';
import { Injectable } from '@nestjs/common';
import { Catalogue, type Changed, type Taking } from '../catalogue/catalogue.js';
import { Checkouts } from '../checkout/checkouts.js';
import type { Problem } from '../http/problem.js';
import { ProductChangedError } from './lost-race.js';
import { type OrderEvent, orderStream } from './order.events.js';
import type { Order } from './order.js';
import { outOfStock, unknownProducts, type Wanted } from './refusals.js';

/** So many of a product, as somebody wants it. */
interface Item {
  productId: string;
  quantity: number;
}

/** Sells products: never more than there are. */
@Injectable()
export class Selling {
  /**
   * Sales of one process of the same product, or under the same key, queue here instead of failing each other's
   * version checks. Correctness is the database's part, since there are other processes.
   */
  private readonly turns = new KeyedMutex();

  constructor(
    private readonly events: EventStore,
    private readonly catalogue: Catalogue,
    private readonly checkouts: Checkouts,
  ) {}

  /** What would be taken, in the state in which it is there; or why it cannot be had. */
  async look(items: readonly Item[]): Promise<Taking[] | { refusal: Problem }> {
    const found = await Promise.all(items.map(({ productId }) => this.catalogue.find(productId)));
    const takings: Taking[] = [];
    const unknown: Wanted[] = [];
    const short: (Wanted & { stock: number })[] = [];
    for (const [i, { productId: id, quantity }] of items.entries()) {
      const entry = found[i];
      if (entry === undefined) unknown.push({ path: `items[${i}].productId`, id });
      else if (entry.product.stock < quantity) {
        short.push({ path: `items[${i}].quantity`, id, stock: entry.product.stock });
      } else takings.push({ id, quantity, ...entry });
    }
    if (unknown.length > 0) return { refusal: unknownProducts(unknown) };
    if (short.length > 0) return { refusal: outOfStock(short) };
    return takings;
  }

  /**
   * Takes what an order wants off the stock, records the order, and starts its checkout. Joins the transaction it is
   * called in, and gives what to pass to {@link Catalogue.taken} after its commit.
   *
   * @param card that is charged, if the customer has named one
   * @throws ProductChangedError when a product has changed since the look
   */
  async sell(order: Order, takings: readonly Taking[], card: string | undefined): Promise<Changed[]> {
    const { id, items, total, createdAt, cartId } = order;
    const changed = await this.catalogue.take(takings);
    if (changed === undefined) throw new ProductChangedError();
    const placed = { placedAt: createdAt, total, ...(cartId !== undefined && { cartId }) };
    await this.events.appendToStream<OrderEvent>(
      orderStream(id),
      [
        { type: 'OrderPlaced', data: placed },
        ...items.map((data) => ({ type: 'ProductSold', data }) as const),
      ],
      { expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' },
    );
    await this.checkouts.start(order, card);
    return changed;
  }

  /** Holds the turn of each product, and of a name besides. */
  inTurn<R>(items: readonly Pick<Item, 'productId'>[], fn: () => Promise<R>, name?: string): Promise<R> {
    const products = items.map(({ productId }) => `product ${productId}`).toSorted();
    return this.holding(name === undefined ? products : [name, ...products], fn);
  }

  /** Taken in a fixed order, so that two never wait for each other. */
  private holding<R>([name, ...rest]: readonly string[], fn: () => Promise<R>): Promise<R> {
    return name === undefined ? fn() : this.turns.run(name, () => this.holding(rest, fn));
  }
}
