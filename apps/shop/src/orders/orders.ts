import { randomUUID } from 'node:crypto';
import { type DocumentPage, EventStore, type ReadDocument } from '@nestbox/event-store';
import { Injectable } from '@nestjs/common';
import type { Versioned } from '../catalogue/product-cache.js';
import type { Quantity } from '../catalogue/stock.js';
import { Customers } from '../customers/customers.js';
import type { History } from '../history/history-page.js';
import type { Problem } from '../http/problem.js';
import { fingerprintOf } from './idempotency-key.js';
import { type Answer, IdempotentAnswers, type Remembered } from './idempotent-answers.js';
import { untilWon } from './lost-race.js';
import { evolveDetails, ORDER_DETAILS } from './order-details.projection.js';
import { type OrderEvent, orderStream } from './order.events.js';
import type { Line } from './line.js';
import { type Order, type OrderDetails, type OrderRequest, toOrder, toRepresentation } from './order.js';
import { RefusedError } from './refusals.js';
import { Selling } from './selling.js';

/** Takes orders: each once, and never for more than there is. */
@Injectable()
export class Orders {
  constructor(
    private readonly events: EventStore,
    private readonly customers: Customers,
    private readonly answers: IdempotentAnswers,
    private readonly selling: Selling,
  ) {}

  find(id: string): Promise<OrderDetails | undefined> {
    return this.events.collection<OrderDetails>(ORDER_DETAILS).get(orderStream(id));
  }

  /** The newest ones first. */
  newest(limit: number): Promise<OrderDetails[]> {
    return this.events
      .collection<OrderDetails>(ORDER_DETAILS)
      .find({}, { sort: { createdAt: 'desc' }, limit });
  }

  /** The order as it was; undefined for one that is not there, or not at that version yet. */
  async findAt(id: string, version: number): Promise<OrderDetails | undefined> {
    const { state, currentStreamVersion } = await this.events.aggregateStream<
      OrderDetails | null,
      OrderEvent
    >(orderStream(id), {
      evolve: evolveDetails,
      initialState: () => null,
      read: { to: BigInt(version) },
    });
    return state === null || currentStreamVersion < BigInt(version) ? undefined : state;
  }

  /** The orders of a customer, the newest first, page by page. */
  ofCustomer(
    customerId: string,
    options: { cursor?: string | undefined; limit: number },
  ): Promise<DocumentPage<ReadDocument<OrderDetails>>> {
    return this.events
      .collection<OrderDetails>(ORDER_DETAILS)
      .find({ customerId }, { sort: { createdAt: 'desc' }, ...options });
  }

  /** What has happened to it after a version; undefined for an order that is not there. */
  async history(
    id: string,
    { after, limit }: { after: number; limit: number },
  ): Promise<History<OrderEvent> | undefined> {
    const { events, currentStreamVersion, streamExists } = await this.events.readStream<OrderEvent>(
      orderStream(id),
      { from: BigInt(after) + 1n, maxCount: BigInt(limit) },
    );
    return streamExists ? { events, version: currentStreamVersion } : undefined;
  }

  /**
   * Answers an order: with the first answer where the key has one, be it a refusal; else the order, the stock it
   * takes and the answer are written in one transaction, so that a crash leaves all of it or nothing.
   *
   * @throws ProblemError with 422 when the key was used with another request
   */
  place(key: string, request: OrderRequest): Promise<Remembered> {
    const fingerprint = fingerprintOf('POST /orders', request);
    return this.selling.inTurnOf(`key ${key}`, () =>
      untilWon(async () => {
        const given = await this.answers.find(key, fingerprint);
        if (given !== undefined) return { ...given, replayed: true };
        return { ...(await this.attempt(key, fingerprint, request)), replayed: false };
      }),
    );
  }

  private async attempt(key: string, fingerprint: string, request: OrderRequest): Promise<Answer> {
    const { items, card, customerId } = request;
    try {
      if (customerId !== undefined) await this.customers.assertKnown(customerId);
      const order = await this.selling.sell(
        items,
        card,
        (products) => toOrder(randomUUID(), toLines(items, products), { customerId }),
        (placed) => this.answers.remember(key, fingerprint, toAnswer(placed)),
      );
      return toAnswer(order);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      const answer = toRefusal(error.problem);
      await this.answers.remember(key, fingerprint, answer);
      return answer;
    }
  }
}

/** At the prices of today. */
function toLines(items: readonly Quantity[], products: ReadonlyMap<string, Versioned>): Line[] {
  return items.map(({ productId, quantity }) => {
    const { name, price: unitPrice } = products.get(productId)!.product;
    return { productId, name, quantity, unitPrice };
  });
}

function toAnswer(order: Order): Answer {
  return {
    status: 201,
    headers: { Location: `/orders/${order.id}`, 'Content-Type': 'application/json; charset=utf-8' },
    body: JSON.stringify(toRepresentation(order)),
  };
}

function toRefusal(problem: Problem): Answer {
  return {
    status: problem.status,
    headers: { 'Content-Type': 'application/problem+json; charset=utf-8' },
    body: JSON.stringify(problem),
  };
}
