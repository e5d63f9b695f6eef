import { messageOf } from '@nestbox/core';
import { Workflow, type WorkflowContext, type WorkflowHandler } from '@nestbox/workflows';
import { Inject, Injectable } from '@nestjs/common';
import type { ShopConfig } from '../config.js';
import { PaymentProvider } from '../payments/payment-provider.js';
import { SHOP_CONFIG } from '../tokens.js';
import { Carrier } from './carrier.js';
import { Fulfilment } from './fulfilment.js';

export interface CheckoutInput {
  /** Of the run, too. */
  orderId: string;
  /** In cents. */
  total: number;
  /** The token of the card that is charged. */
  card: string;
}

export interface CheckoutResult {
  paymentId: string;
  /** By the ids of the parcels. */
  trackingNumbers: Record<string, string>;
}

/** The signal that an order is packed. */
export const PACKED = 'packed';

/** What comes with the signal. */
export interface Packed {
  /** Who says so, if anybody. */
  by?: string;
}

const CHARGE_RETRIES = 8;
const CHARGE_BACKOFF = { base: '250ms', factor: 2, max: '30s' } as const;
/** Somebody else may have changed the order or a product meanwhile. */
const LOST_RACE = { retries: 20, backoff: { base: '10ms', max: '500ms' } } as const;

/** Takes an order from its placing to the carrier; where that fails, or the customer cancels, undoes what was done. */
@Injectable()
@Workflow({ name: 'shop.checkout', version: '1' })
export class Checkout implements WorkflowHandler<CheckoutInput, CheckoutResult> {
  constructor(
    private readonly fulfilment: Fulfilment,
    private readonly payments: PaymentProvider,
    private readonly carrier: Carrier,
    @Inject(SHOP_CONFIG) private readonly config: Pick<ShopConfig, 'paymentTimeoutMs' | 'packingTimeoutMs'>,
  ) {}

  async run(ctx: WorkflowContext, { orderId, total, card }: CheckoutInput): Promise<CheckoutResult> {
    const { fulfilment, carrier } = this;
    let reason = 'The checkout was cancelled.';
    const undo = () => fulfilment.cancel(orderId, reason).then(() => undefined);
    try {
      const parcels = await ctx.transaction('reserve', { ...LOST_RACE, compensate: undo }, () =>
        fulfilment.reserve(orderId),
      );
      const paymentId = await this.pay(ctx, { orderId, total, card });
      ctx.logger.log(`Order ${orderId} is paid; it can be packed.`);

      const { by } = await ctx.waitForSignal<Packed>(PACKED, { timeout: this.config.packingTimeoutMs });
      await ctx.transaction('pack', LOST_RACE, () => fulfilment.pack(orderId, by));

      await ctx.transaction('hand over', LOST_RACE, () => fulfilment.startShipping(orderId));
      const shipped = await ctx.map(
        'ship',
        parcels,
        ({ id }) => id,
        async (branch, parcel) => {
          const collected = await branch.step(
            'collect',
            { retries: 5, timeout: '1m', compensate: (number: string) => carrier.recall(number) },
            ({ idempotencyKey, signal }) => carrier.collect(parcel, idempotencyKey, signal),
          );
          await branch.transaction('record', () => fulfilment.shipParcel(orderId, parcel, collected));
          return [parcel.id, collected] as const;
        },
      );
      await ctx.transaction('finish', LOST_RACE, () => fulfilment.finish(orderId));
      return { paymentId, trackingNumbers: Object.fromEntries(shipped) };
    } catch (error) {
      reason = messageOf(error);
      throw error;
    }
  }

  /**
   * Opens the payment in a step of its own, which undoes it: then a charge is given back, too, of which nobody knows
   * whether it has happened, since the provider gave no answer or the order was cancelled in between.
   */
  private async pay(ctx: WorkflowContext, { orderId, total, card }: CheckoutInput): Promise<string> {
    const { fulfilment, payments } = this;
    const paymentId = await ctx.step(
      'open payment',
      {
        retries: CHARGE_RETRIES,
        compensate: (id, { idempotencyKey }) => payments.refund(id, { idempotencyKey }),
      },
      () => payments.open({ orderId, card, amount: total }),
    );
    const { amount } = await ctx.step(
      'charge',
      { retries: CHARGE_RETRIES, backoff: CHARGE_BACKOFF, timeout: this.config.paymentTimeoutMs },
      ({ idempotencyKey, signal }) => payments.charge(paymentId, { idempotencyKey, signal }),
    );
    await ctx.transaction('record payment', LOST_RACE, () => fulfilment.pay(orderId, paymentId, amount));
    return paymentId;
  }
}
