import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs, KeyedMutex } from '@nestbox/core';
import { KeyValueStore, KvOperationError, VersionConflictError } from '@nestbox/kv';
import { CommitOutcomeUnknownError, Postgres } from '@nestbox/postgres';
import { Injectable } from '@nestjs/common';
import { LiveNews } from '../live/live-news.js';
import { Catalogue, type Taking } from '../catalogue/catalogue.js';
import { type Fault, type Problem, PROBLEM_TYPES, unavailable } from '../http/problem.js';
import { fingerprintOf } from './idempotency-key.js';
import { type Answer, IdempotentAnswers, type Remembered } from './idempotent-answers.js';
import { type Order, type OrderRequest, toRepresentation } from './order.js';

const NAMESPACE = 'orders';

/** A lost race means that another order got through, so this many in a row is a traffic jam. */
const MAX_ATTEMPTS = 100;

/** A product of the order changed between our look and our write. */
class ProductChangedError extends Error {}

/** Takes orders: each once, and never for more than there is. */
@Injectable()
export class Orders {
  private readonly orders: KeyValueStore<Order>;
  /**
   * Orders of one process for the same product, or under the same key, queue here instead of failing each
   * other's version checks. Correctness is the database's part, since there are other processes.
   */
  private readonly turns = new KeyedMutex();

  constructor(
    store: KeyValueStore,
    private readonly postgres: Postgres,
    private readonly catalogue: Catalogue,
    private readonly answers: IdempotentAnswers,
    private readonly news: LiveNews,
  ) {
    this.orders = store.namespace<Order>(NAMESPACE);
  }

  find(id: string): Promise<Order | undefined> {
    return this.orders.get(id);
  }

  /**
   * Answers an order: with the first answer where the key has one, be it a refusal; else the order, the stock it
   * takes and the answer are written in one transaction, so that a crash leaves all of it or nothing.
   *
   * @throws ProblemError with 422 when the key was used with another request
   */
  place(key: string, request: OrderRequest): Promise<Remembered> {
    const fingerprint = fingerprintOf('POST /orders', request);
    const products = request.items.map(({ productId }) => `product ${productId}`).toSorted();
    return this.inTurn([`key ${key}`, ...products], async () => {
      for (let attempt = 1; ; attempt++) {
        const given = await this.answers.find(key, fingerprint);
        if (given !== undefined) return { ...given, replayed: true };
        try {
          return { ...(await this.attempt(key, fingerprint, request)), replayed: false };
        } catch (error) {
          if (!isLostRace(error)) throw error;
          if (attempt === MAX_ATTEMPTS) throw unavailable('Too many order the same. Try again.', error);
          await sleep(backoffMs(attempt, { baseMs: 2, maxMs: 100 }));
        }
      }
    });
  }

  private async attempt(key: string, fingerprint: string, request: OrderRequest): Promise<Answer> {
    const takings = await this.look(request);
    if ('refusal' in takings) {
      const answer = toAnswer(takings.refusal);
      await this.answers.remember(key, fingerprint, answer);
      return answer;
    }
    const order = toOrder(takings);
    const answer: Answer = {
      status: 201,
      headers: { Location: `/orders/${order.id}`, 'Content-Type': 'application/json; charset=utf-8' },
      body: JSON.stringify(toRepresentation(order)),
    };
    const taken = await this.postgres.transaction(async () => {
      await this.answers.remember(key, fingerprint, answer);
      const changed = await this.catalogue.take(takings);
      if (changed === undefined) throw new ProductChangedError();
      await this.orders.set(order.id, order, { ifVersion: 'absent' });
      await this.news.orderPlaced(order);
      return changed;
    });
    await this.catalogue.taken(taken);
    return answer;
  }

  /** What the order would take, in the state in which it is there; or why it cannot be had. */
  private async look({ items }: OrderRequest): Promise<Taking[] | { refusal: Problem }> {
    const found = await Promise.all(items.map(({ productId }) => this.catalogue.find(productId)));
    const takings: Taking[] = [];
    const unknown: Fault[] = [];
    const short: Fault[] = [];
    for (const [i, { productId: id, quantity }] of items.entries()) {
      const entry = found[i];
      if (entry === undefined) {
        const message = `There is no product ${JSON.stringify(id)}.`;
        unknown.push({ in: 'body', path: `items[${i}].productId`, message });
      } else if (entry.product.stock < quantity) {
        const message = `Only ${entry.product.stock} of ${JSON.stringify(id)} are left.`;
        short.push({ in: 'body', path: `items[${i}].quantity`, message });
      } else {
        takings.push({ id, quantity, ...entry });
      }
    }
    if (unknown.length > 0) {
      const { unknownProduct: type } = PROBLEM_TYPES;
      return { refusal: refusal(type, 'Some of what is ordered is not in the catalogue.', 422, unknown) };
    }
    if (short.length > 0) {
      return { refusal: refusal(PROBLEM_TYPES.outOfStock, 'There is not enough left.', 409, short) };
    }
    return takings;
  }

  /** Holds the turn of each name, taken in a fixed order so that two orders never wait for each other. */
  private inTurn<R>([name, ...rest]: readonly string[], fn: () => Promise<R>): Promise<R> {
    return name === undefined ? fn() : this.turns.run(name, () => this.inTurn(rest, fn));
  }
}

/**
 * Whether to look again: somebody else answered under the key or changed a product, two orders met in a deadlock,
 * or the connection broke during the commit, in which case the record under the key tells whether it happened.
 */
function isLostRace(error: unknown): boolean {
  if (error instanceof ProductChangedError || error instanceof VersionConflictError) return true;
  if (error instanceof CommitOutcomeUnknownError) return true;
  const cause: unknown = error instanceof KvOperationError ? error.cause : error;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  return code === '40P01' || code === '40001';
}

function toOrder(takings: readonly Taking[]): Order {
  return {
    id: randomUUID(),
    items: takings.map(({ id, quantity, product }) => ({
      productId: id,
      name: product.name,
      quantity,
      unitPrice: product.price,
    })),
    total: takings.reduce((sum, { quantity, product }) => sum + quantity * product.price, 0),
    createdAt: new Date().toISOString(),
  };
}

function refusal(type: string, title: string, status: number, errors: readonly Fault[]): Problem {
  return { type, title, status, detail: errors.map(({ message }) => message).join(' '), errors };
}

function toAnswer(problem: Problem): Answer {
  return {
    status: problem.status,
    headers: { 'Content-Type': 'application/problem+json; charset=utf-8' },
    body: JSON.stringify(problem),
  };
}
