import { randomUUID } from 'node:crypto';
import { KeyedMutex } from '@nestbox/core';
import { type CommandHandler, EventStore, handleCommand } from '@nestbox/event-store';
import { Injectable } from '@nestjs/common';
import { Catalogue } from '../catalogue/catalogue.js';
import { Customers } from '../customers/customers.js';
import type { History } from '../history/history-page.js';
import type { Preconditions } from '../http/entity-tag.js';
import { notFound, preconditionFailed, ProblemError } from '../http/problem.js';
import { toTrace } from '../http/request-context.js';
import { keyReused } from '../orders/idempotency-key.js';
import { untilWon } from '../orders/lost-race.js';
import { type Order, toOrder } from '../orders/order.js';
import { RefusedError, unknownProducts } from '../orders/refusals.js';
import { Selling } from '../orders/selling.js';
import { CART_DETAILS } from './cart-details.projection.js';
import { type CartEvent, cartStream, keyOf, underKey } from './cart.events.js';
import { type Cart, type CartCommand, decide, evolve } from './cart.js';

/** Losing the race for a cart means that somebody else has changed it, so this many in a row is a traffic jam. */
const RETRY = { attempts: 50, base: 2, max: 100 } as const;

/** A cart as a request finds it. */
interface Found {
  cart: Cart | null;
  /** What has happened to it under the key of the request. */
  done: CartEvent | undefined;
}

/** A cart after a request. */
export interface Changed {
  cart: Cart;
  /** Whether the same was asked for, under the same key, before. */
  replayed: boolean;
}

/** The shopping carts: each is the stream of what has happened to it. */
@Injectable()
export class Carts {
  /**
   * Changes of one cart in one process queue here instead of failing each other's version checks. Correctness is the
   * database's part, since there are other processes.
   */
  private readonly turns = new KeyedMutex();

  constructor(
    private readonly events: EventStore,
    private readonly catalogue: Catalogue,
    private readonly customers: Customers,
    private readonly selling: Selling,
  ) {}

  /** The cart as it is now. */
  find(id: string): Promise<Cart | undefined> {
    return this.events.collection<Cart>(CART_DETAILS).get(cartStream(id));
  }

  /** The cart as it was; undefined for one that is not there, or not at that version yet. */
  async findAt(id: string, version: number): Promise<Cart | undefined> {
    const cart = await this.aggregate(id, BigInt(version));
    return cart?.version === version ? cart : undefined;
  }

  /** What has happened to it after a version; undefined for a cart that is not there. */
  async history(
    id: string,
    { after, limit }: { after: number; limit: number },
  ): Promise<History<CartEvent> | undefined> {
    const { events, currentStreamVersion, streamExists } = await this.events.readStream<CartEvent>(
      cartStream(id),
      { from: BigInt(after) + 1n, maxCount: BigInt(limit) },
    );
    return streamExists ? { events, version: currentStreamVersion } : undefined;
  }

  /**
   * Opens a cart, or gives the one that is there.
   *
   * @throws ProblemError with 412 when the conditions do not hold
   */
  async open(id: string, conditions?: Preconditions): Promise<{ cart: Cart; created: boolean }> {
    const { newState, newEvents } = await this.handle(id, undefined, ({ cart }) => {
      assertHolds(conditions, cart);
      return cart === null ? [{ type: 'ShoppingCartOpened', data: {} }] : [];
    });
    return { cart: newState.cart!, created: newEvents.length > 0 };
  }

  /**
   * Adds some of a product, at its price of today.
   *
   * @param key under which it is added once, however often it is asked for
   * @throws ProblemError with 404, 409, 412 or 422
   */
  add(
    id: string,
    { productId, quantity }: { productId: string; quantity: number },
    conditions: Preconditions,
    key: string | undefined,
  ): Promise<Changed> {
    const isSame = ({ type, data }: CartEvent): boolean =>
      type === 'ProductItemAdded' && data.productId === productId && data.quantity === quantity;
    return this.change(id, conditions, { key, isSame }, async () => {
      const found = await this.catalogue.find(productId);
      if (found === undefined) {
        throw new ProblemError(unknownProducts([{ path: 'productId', id: productId }]));
      }
      const { name, price: unitPrice } = found.product;
      return { type: 'AddProductItem', data: { productId, name, quantity, unitPrice } };
    });
  }

  /**
   * Takes some of a product out, or all of it.
   *
   * @param key under which it is taken out once, however often it is asked for
   * @throws ProblemError with 404, 409, 412 or 422
   */
  remove(
    id: string,
    item: { productId: string; quantity: number | undefined },
    conditions: Preconditions,
    key: string | undefined,
  ): Promise<Changed> {
    const isSame = ({ type, data }: CartEvent): boolean =>
      type === 'ProductItemRemoved' &&
      data.productId === item.productId &&
      (item.quantity === undefined || item.quantity === data.quantity);
    return this.change(id, conditions, { key, isSame }, () => ({ type: 'RemoveProductItem', data: item }));
  }

  /**
   * Makes an order of the cart: the stock that it takes, the order, the start of its checkout and the end of the cart
   * are one transaction. What is confirmed already stays as it is.
   *
   * @param card that is charged, if the customer has named one
   * @param customerId who orders, if that is said
   * @throws ProblemError with 404, 409, 412 or 422
   */
  confirm(
    id: string,
    conditions: Preconditions,
    { card, customerId }: { card?: string | undefined; customerId?: string | undefined } = {},
  ): Promise<Cart> {
    const orderId = randomUUID();
    const confirming = async (): Promise<Cart> => {
      const cart = await this.aggregate(id);
      if (cart === null) throw notFound('cart', id);
      // The connection broke during the commit, and the order was placed all the same.
      if (cart.orderId === orderId) return cart;
      assertHolds(conditions, cart);
      const order = toOrder(orderId, cart.items, { cartId: id, customerId });
      const decided = decide({ type: 'Confirm', data: { orderId, confirmedAt: order.createdAt } }, cart);
      if (decided.length === 0) return cart;
      if (customerId !== undefined) await this.customers.assertKnown(customerId);
      await this.sell(order, cart, decided, card);
      return decided.reduce<Cart>(evolve, cart);
    };
    return this.turns.run(id, () => untilWon(confirming));
  }

  private async sell(
    order: Order,
    cart: Cart,
    decided: readonly CartEvent[],
    card: string | undefined,
  ): Promise<void> {
    const close = () =>
      this.events.appendToStream(cartStream(order.cartId!), decided, {
        expectedStreamVersion: BigInt(cart.version),
        ...toTrace(),
      });
    try {
      await this.selling.sell(cart.items, card, () => order, close);
    } catch (error) {
      // Its faults are about the body of an order.
      if (error instanceof RefusedError) throw new ProblemError({ ...error.problem, errors: undefined });
      throw error;
    }
  }

  private async change(
    id: string,
    conditions: Preconditions,
    { key, isSame }: { key: string | undefined; isSame: (done: CartEvent) => boolean },
    command: () => CartCommand | Promise<CartCommand>,
  ): Promise<Changed> {
    const { newState, newEvents } = await this.handle(id, key, async ({ cart, done }) => {
      if (cart === null) throw notFound('cart', id);
      if (done !== undefined) {
        // It has happened, whatever has become of the cart and of the conditions since.
        if (!isSame(done)) throw keyReused();
        return [];
      }
      assertHolds(conditions, cart);
      const decided = decide(await command(), cart);
      return key === undefined ? decided : decided.map((event) => underKey(event, key));
    });
    return { cart: newState.cart!, replayed: newEvents.length === 0 };
  }

  /** Decides on a cart as it is, and again when somebody else has changed it meanwhile. */
  private handle(id: string, key: string | undefined, handler: CommandHandler<Found, CartEvent>) {
    const command = handleCommand<Found, CartEvent>(this.events, {
      initialState: () => ({ cart: null, done: undefined }),
      evolve: ({ cart, done }, event) => ({
        cart: evolve(cart, event),
        done: done ?? (key !== undefined && keyOf(event) === key ? event : undefined),
      }),
      mapToStreamName: cartStream,
      retry: RETRY,
    });
    return this.turns.run(id, () => command(id, handler, toTrace()));
  }

  /** What the events of a cart add up to; null for one that is not there. */
  private async aggregate(id: string, to?: bigint): Promise<Cart | null> {
    const { state } = await this.events.aggregateStream<Cart | null, CartEvent>(cartStream(id), {
      evolve,
      initialState: () => null,
      read: to === undefined ? {} : { to },
    });
    return state;
  }
}

/** @throws ProblemError with 412 */
function assertHolds(conditions: Preconditions | undefined, cart: Cart | null): void {
  const version = cart === null ? undefined : BigInt(cart.version);
  if (conditions?.allowWrite(version) === false) throw preconditionFailed(version);
}
