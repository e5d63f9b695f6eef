import { RunNotFoundError, RunStateError, type StepInfo, WorkflowService } from '@nestbox/workflows';
import { Injectable } from '@nestjs/common';
import { notFound } from '../http/problem.js';
import type { OrderState, OrderStatus } from '../orders/order-state.js';
import type { Order } from '../orders/order.js';
import { type Payment, PaymentProvider } from '../payments/payment-provider.js';
import { DEFAULT_CARD } from '../payments/card.js';
import { Checkout, PACKED, type Packed } from './checkout.js';
import { alreadyShipped, notCancelled, notPaid } from './checkout.problems.js';
import { Fulfilment } from './fulfilment.js';

/** How an order is getting on. */
export interface Progress {
  status: OrderStatus;
  /** What its checkout ended with, if it failed. */
  error: unknown;
  steps: StepInfo[];
}

/** The checkouts of orders: each is a run with the id of its order. */
@Injectable()
export class Checkouts {
  constructor(
    private readonly workflows: WorkflowService,
    private readonly fulfilment: Fulfilment,
    private readonly payments: PaymentProvider,
  ) {}

  /** Begins it, when the transaction that it is called in is committed. */
  async start({ id, total }: Order, card: string = DEFAULT_CARD): Promise<void> {
    await this.workflows.start(Checkout, { orderId: id, total, card }, { id });
  }

  /** @throws ProblemError with 404 */
  async progress(id: string): Promise<Progress> {
    const { status } = await this.existing(id);
    const run = this.workflows.get(id);
    try {
      const [{ error, status: runStatus }, steps] = await Promise.all([run.info(), run.steps()]);
      return { status, error: runStatus === 'failed' || runStatus === 'stuck' ? error : undefined, steps };
    } catch (error) {
      // An order from before there were checkouts.
      if (error instanceof RunNotFoundError) return { status, error: undefined, steps: [] };
      throw error;
    }
  }

  /** @throws ProblemError with 404 */
  async paymentsOf(id: string): Promise<Payment[]> {
    await this.existing(id);
    return this.payments.of(id);
  }

  /**
   * Says that an order is packed; the checkout goes on. Said again, it changes nothing.
   *
   * @throws ProblemError with 404 or 409
   */
  async packed(id: string, packed: Packed): Promise<OrderStatus> {
    const { status, payments } = await this.existing(id);
    if (status === 'packed' || status === 'shipping' || status === 'shipped') return status;
    if (status !== 'paid') throw notPaid(id, status);
    try {
      await this.workflows.signal(id, PACKED, packed, { dedupe: `${PACKED} ${payments}` });
    } catch (error) {
      if (!(error instanceof RunStateError || error instanceof RunNotFoundError)) throw error;
      throw notPaid(id, (await this.existing(id)).status);
    }
    return status;
  }

  /**
   * Cancels an order for its customer: it is cancelled, and its stock is back, when this resolves; the checkout gives
   * the money back. What is cancelled already stays as it is.
   *
   * @throws ProblemError with 404, or 409 when it was given to the carrier
   */
  async cancel(id: string): Promise<void> {
    await this.existing(id);
    await this.fulfilment.cancel(id, 'The customer has cancelled it.', {
      check: ({ status }) => {
        if (status === 'shipping' || status === 'shipped') throw alreadyShipped(id);
      },
      alsoIn: () => this.cancelRun(id),
    });
  }

  /**
   * Tries a cancelled order again: it takes its stock anew, and is paid anew.
   *
   * @throws ProblemError with 404, or 409 when it is not cancelled, or is still being undone
   */
  async retry(id: string): Promise<void> {
    const { status } = await this.existing(id);
    if (status !== 'cancelled') throw notCancelled(id, status);
    try {
      await this.workflows.retry(id);
    } catch (error) {
      if (!(error instanceof RunStateError || error instanceof RunNotFoundError)) throw error;
      throw notCancelled(id, status);
    }
  }

  private async cancelRun(id: string): Promise<void> {
    try {
      await this.workflows.cancel(id);
    } catch (error) {
      if (!(error instanceof RunNotFoundError)) throw error;
    }
  }

  private async existing(id: string): Promise<OrderState> {
    const order = await this.fulfilment.find(id);
    if (order === undefined) throw notFound('order', id);
    return order;
  }
}
