import { KeyedMutex } from '@nestbox/core';
import { EventStore } from '@nestbox/event-store';
import { TypeOrmTransactions } from '@nestbox/typeorm';
import { Injectable } from '@nestjs/common';
import { Catalogue } from '../catalogue/catalogue.js';
import type { Versioned } from '../catalogue/product-cache.js';
import { NotEnoughError, type Quantity } from '../catalogue/stock.js';
import { Checkouts } from '../checkout/checkouts.js';
import { toTrace } from '../http/request-context.js';
import type { Problem } from '../http/problem.js';
import { ProductChangedError } from './lost-race.js';
import { type OrderEvent, orderStream } from './order.events.js';
import type { Order } from './order.js';
import { outOfStock, RefusedError, unknownProducts, type Wanted } from './refusals.js';

/** Sells products: never more than there are. */
@Injectable()
export class Selling {
  /**
   * Sales of one process of the same product, or under the same key, queue here instead of holding a connection each
   * while they wait for the same row. Correctness is the database's part, since there are other processes.
   */
  private readonly turns = new KeyedMutex();

  constructor(
    private readonly events: EventStore,
    private readonly transactions: TypeOrmTransactions,
    private readonly catalogue: Catalogue,
    private readonly checkouts: Checkouts,
  ) {}

  /**
   * Takes what is wanted off the stock, records the order, and starts its checkout, in one transaction. It is
   * repeatable: whoever lost a race is to call it again.
   *
   * @param toOrder makes the order of the products as they are now
   * @param also what belongs to the same transaction
   * @param card that is charged, if the customer has named one
   * @throws RefusedError where something cannot be had; ProductChangedError
   */
  async sell(
    items: readonly Quantity[],
    card: string | undefined,
    toOrder: (products: ReadonlyMap<string, Versioned>) => Order,
    also: (order: Order) => Promise<unknown>,
  ): Promise<Order> {
    try {
      return await this.inTurn(items, () =>
        this.transactions.run(async () => {
          const order = toOrder(await this.catalogue.take(items));
          await this.record(order);
          await this.checkouts.start(order, card);
          await also(order);
          return order;
        }),
      );
    } catch (error) {
      if (!(error instanceof NotEnoughError)) throw error;
      const refusal = await this.look(items);
      throw refusal === undefined ? new ProductChangedError() : new RefusedError(refusal);
    }
  }

  /** Holds the turn of a name. */
  inTurnOf<R>(name: string, fn: () => Promise<R>): Promise<R> {
    return this.turns.run(name, fn);
  }

  private async record({ id, items, total, createdAt, cartId, customerId }: Order): Promise<void> {
    const placed = {
      placedAt: createdAt,
      total,
      ...(cartId !== undefined && { cartId }),
      ...(customerId !== undefined && { customerId }),
    };
    await this.events.appendToStream<OrderEvent>(
      orderStream(id),
      [
        { type: 'OrderPlaced', data: placed },
        ...items.map((data) => ({ type: 'ProductSold', data }) as const),
      ],
      { expectedStreamVersion: 'STREAM_DOES_NOT_EXIST', ...toTrace() },
    );
  }

  /** Why they cannot be had; undefined where they can. */
  private async look(items: readonly Quantity[]): Promise<Problem | undefined> {
    const found = await this.catalogue.findAll(items.map(({ productId }) => productId));
    const unknown: Wanted[] = [];
    const short: (Wanted & { stock: number })[] = [];
    for (const [i, { productId: id, quantity }] of items.entries()) {
      const stock = found.get(id)?.product.stock;
      if (stock === undefined) unknown.push({ path: `items[${i}].productId`, id });
      else if (stock < quantity) short.push({ path: `items[${i}].quantity`, id, stock });
    }
    if (unknown.length > 0) return unknownProducts(unknown);
    return short.length > 0 ? outOfStock(short) : undefined;
  }

  private inTurn<R>(items: readonly Quantity[], fn: () => Promise<R>): Promise<R> {
    return this.holding(items.map(({ productId }) => `product ${productId}`).toSorted(), fn);
  }

  /** Taken in a fixed order, so that two never wait for each other. */
  private holding<R>([name, ...rest]: readonly string[], fn: () => Promise<R>): Promise<R> {
    return name === undefined ? fn() : this.turns.run(name, () => this.holding(rest, fn));
  }
}
