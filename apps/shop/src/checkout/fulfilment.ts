import { EventStore } from '@nestbox/event-store';
import { TypeOrmTransactions } from '@nestbox/typeorm';
import { NonRetryableError } from '@nestbox/workflows';
import { Injectable } from '@nestjs/common';
import { Catalogue } from '../catalogue/catalogue.js';
import { NotEnoughError } from '../catalogue/stock.js';
import { toTrace, type Trace } from '../http/request-context.js';
import { untilWon } from '../orders/lost-race.js';
import { evolveOrder, type OrderState } from '../orders/order-state.js';
import { type OrderEvent, orderStream } from '../orders/order.events.js';
import { type Parcel, toParcels } from '../orders/parcel.js';
import { SoldOutError } from './sold-out.error.js';

/** What the events of an order add up to, and by what the next one comes about. */
interface Loaded {
  state: OrderState | null;
  version: bigint;
  trace: Trace;
}

interface Found {
  order: OrderState | null;
  /** Of the first event that has one. */
  correlationId: string | undefined;
  /** Of the last event. */
  messageId: string | undefined;
}

/** What makes of an order that is placed one that is shipped, or cancelled. Each is recorded in the order's stream. */
@Injectable()
export class Fulfilment {
  constructor(
    private readonly events: EventStore,
    private readonly transactions: TypeOrmTransactions,
    private readonly catalogue: Catalogue,
  ) {}

  /**
   * Sets aside what was ordered. An order takes its stock when it is placed, so that the customer knows at once whether
   * it can be had; one that was cancelled and is tried again takes it anew. Joins the transaction it is called in.
   *
   * @returns the parcels that it goes in
   * @throws SoldOutError when there is not enough any more
   */
  async reserve(id: string): Promise<Parcel[]> {
    const { state } = await this.record(id, async ({ status, items }) => {
      if (status !== 'placed' && status !== 'cancelled') throw unfit(id, status);
      if (status === 'cancelled') await this.takeAgain(id, items);
      const sold = status === 'placed' ? [] : items.map((data) => ({ type: 'ProductSold', data }) as const);
      return [...sold, { type: 'StockReserved', data: { parcels: toParcels(items) } }];
    });
    return state.parcels;
  }

  async pay(id: string, paymentId: string, amount: number): Promise<void> {
    await this.record(id, ({ status }) => {
      if (status !== 'reserved') throw unfit(id, status);
      return [{ type: 'OrderPaid', data: { paymentId, amount } }];
    });
  }

  /** @param by who says so, if anybody */
  async pack(id: string, by: string | undefined): Promise<void> {
    await this.record(id, ({ status }) => {
      if (status !== 'paid') throw unfit(id, status);
      return [{ type: 'OrderPacked', data: by === undefined ? {} : { by } }];
    });
  }

  /** From now on the customer cannot cancel. */
  async startShipping(id: string): Promise<void> {
    await this.record(id, ({ status }) => {
      if (status !== 'packed') throw unfit(id, status);
      return [{ type: 'ShippingStarted', data: {} }];
    });
  }

  /** Parcels do not wait for each other: none of them decides anything. */
  async shipParcel(id: string, { id: parcelId }: Parcel, trackingNumber: string): Promise<void> {
    const { trace } = await this.load(id);
    const shipped = { type: 'ParcelShipped', data: { parcelId, trackingNumber } } as const;
    await this.events.appendToStream<OrderEvent>(orderStream(id), [shipped], trace);
  }

  async finish(id: string): Promise<void> {
    await this.record(id, ({ status }) => {
      if (status !== 'shipping') throw unfit(id, status);
      return [{ type: 'OrderShipped', data: {} }];
    });
  }

  /**
   * Puts everything back into the stock. What is cancelled already stays as it is.
   *
   * @param alsoIn the transaction, when it is cancelled
   * @throws ProblemError and whatever else `check` throws
   */
  cancel(
    id: string,
    reason: string,
    { check, alsoIn }: { check?: (state: OrderState) => void; alsoIn?: () => Promise<unknown> } = {},
  ): Promise<OrderState> {
    return untilWon(async () => {
      const { state } = await this.transactions.run(() =>
        this.record(
          id,
          async (found) => {
            check?.(found);
            if (found.status === 'cancelled') return [];
            await this.catalogue.giveBack(found.items);
            const products = found.items.map((data) => ({ type: 'ProductReturned', data }) as const);
            return [...products, { type: 'OrderCancelled', data: { reason } }];
          },
          alsoIn,
        ),
      );
      return state;
    });
  }

  /** The order as it is; undefined where there is none. */
  async find(id: string): Promise<OrderState | undefined> {
    return (await this.load(id)).state ?? undefined;
  }

  private async takeAgain(id: string, items: OrderState['items']): Promise<void> {
    try {
      await this.catalogue.take(items);
    } catch (error) {
      throw error instanceof NotEnoughError ? new SoldOutError(id, error.productIds) : error;
    }
  }

  /** Decides on an order as it is, and records what happens, unless something else has happened meanwhile. */
  private async record(
    id: string,
    decide: (state: OrderState) => OrderEvent[] | Promise<OrderEvent[]>,
    alsoIn?: () => Promise<unknown>,
  ): Promise<{ state: OrderState }> {
    const { state, version, trace } = await this.load(id);
    if (state === null) throw new NonRetryableError(`There is no order "${id}".`);
    const happens = await decide(state);
    if (happens.length > 0) {
      await this.events.appendToStream<OrderEvent>(orderStream(id), happens, {
        expectedStreamVersion: version,
        ...trace,
      });
      await alsoIn?.();
    }
    return { state: happens.reduce<OrderState>((before, event) => evolveOrder(before, event)!, state) };
  }

  private async load(id: string): Promise<Loaded> {
    const { state, currentStreamVersion } = await this.events.aggregateStream<Found, OrderEvent>(
      orderStream(id),
      {
        evolve: (found, event) => ({
          order: evolveOrder(found.order, event),
          correlationId: found.correlationId ?? event.metadata.correlationId,
          messageId: event.metadata.messageId,
        }),
        initialState: () => ({ order: null, correlationId: undefined, messageId: undefined }),
      },
    );
    const { order, correlationId, messageId } = state;
    const trace = messageId === undefined ? {} : toTrace({ correlationId, messageId });
    return { state: order, version: currentStreamVersion, trace };
  }
}

function unfit(id: string, status: string): NonRetryableError {
  return new NonRetryableError(`Order "${id}" is ${status} already.`);
}
