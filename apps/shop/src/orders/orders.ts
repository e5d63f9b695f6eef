import { randomUUID } from 'node:crypto';
import { EventStore, type ReadEvent } from '@nestbox/event-store';
import { Postgres } from '@nestbox/postgres';
import { Injectable } from '@nestjs/common';
import { Catalogue } from '../catalogue/catalogue.js';
import type { Problem } from '../http/problem.js';
import { fingerprintOf } from './idempotency-key.js';
import { type Answer, IdempotentAnswers, type Remembered } from './idempotent-answers.js';
import { untilWon } from './lost-race.js';
import { ORDER_DETAILS } from './order-details.projection.js';
import { type OrderEvent, orderStream } from './order.events.js';
import { type OrderDetails, type OrderRequest, toOrder, toRepresentation } from './order.js';
import { Selling } from './selling.js';

/** Takes orders: each once, and never for more than there is. */
@Injectable()
export class Orders {
  constructor(
    private readonly events: EventStore,
    private readonly postgres: Postgres,
    private readonly catalogue: Catalogue,
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

  /** What has happened to it after a version; undefined for an order that is not there. */
  async history(
    id: string,
    { after, limit }: { after: number; limit: number },
  ): Promise<{ events: ReadEvent<OrderEvent>[]; version: bigint } | undefined> {
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
    const placing = () =>
      untilWon(async () => {
        const given = await this.answers.find(key, fingerprint);
        if (given !== undefined) return { ...given, replayed: true };
        return { ...(await this.attempt(key, fingerprint, request)), replayed: false };
      });
    return this.selling.inTurn(request.items, placing, `key ${key}`);
  }

  private async attempt(key: string, fingerprint: string, request: OrderRequest): Promise<Answer> {
    const takings = await this.selling.look(request.items);
    if ('refusal' in takings) {
      const answer = toAnswer(takings.refusal);
      await this.answers.remember(key, fingerprint, answer);
      return answer;
    }
    const lines = takings.map(({ id: productId, quantity, product: { name, price: unitPrice } }) => {
      return { productId, name, quantity, unitPrice };
    });
    const order = toOrder(randomUUID(), lines);
    const answer: Answer = {
      status: 201,
      headers: { Location: `/orders/${order.id}`, 'Content-Type': 'application/json; charset=utf-8' },
      body: JSON.stringify(toRepresentation(order)),
    };
    const taken = await this.postgres.transaction(async () => {
      await this.answers.remember(key, fingerprint, answer);
      return this.selling.sell(order, takings, request.card);
    });
    await this.catalogue.taken(taken);
    return answer;
  }
}

function toAnswer(problem: Problem): Answer {
  return {
    status: problem.status,
    headers: { 'Content-Type': 'application/problem+json; charset=utf-8' },
    body: JSON.stringify(problem),
  };
}
