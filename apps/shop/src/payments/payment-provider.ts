import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyValueStore } from '@nestbox/kv';
import { Inject, Injectable } from '@nestjs/common';
import { PAYMENT_OPTIONS } from '../tokens.js';
import { CardDeclinedError, PaymentClosedError, ProviderUnavailableError } from './payment.errors.js';
import type { PaymentOptions } from './payment.options.js';

const NAMESPACE = 'payments';

/** A line of the provider's log: money that has moved. */
export interface Booking {
  kind: 'charge' | 'refund';
  /** In cents. */
  amount: number;
  /** The idempotency key under which it was asked for. */
  key: string;
  /** ISO 8601, UTC. */
  at: string;
}

export interface Payment {
  id: string;
  orderId: string;
  card: string;
  /** In cents. */
  amount: number;
  /** Whether it takes no money any more. */
  closed: boolean;
  /** How often somebody has asked to charge it, whatever came of it. */
  requests: number;
  log: Booking[];
}

export interface Request {
  /** Asked for twice under the same one, money moves once. */
  idempotencyKey: string;
  /** Aborts when nobody waits for the answer any more; what was asked for may have happened all the same. */
  signal?: AbortSignal;
}

/**
 * Stands for a company that charges cards, with all that makes such companies hard to work with: it is slow, it fails
 * before or after the money has moved, and sometimes it never answers. Its books are its own: they take no part in the
 * shop's transactions.
 */
@Injectable()
export class PaymentProvider {
  private readonly payments: KeyValueStore<Payment>;

  constructor(
    store: KeyValueStore,
    @Inject(PAYMENT_OPTIONS) private readonly options: PaymentOptions,
  ) {
    this.payments = store.namespace<Payment>(NAMESPACE);
  }

  /** Prepares a payment, of which nothing is charged yet. @returns its id */
  async open(payment: Pick<Payment, 'orderId' | 'card' | 'amount'>): Promise<string> {
    const id = `${payment.orderId}/${randomUUID()}`;
    await this.payments.set(id, { id, ...payment, closed: false, requests: 0, log: [] });
    return id;
  }

  /**
   * Charges the card.
   *
   * @throws CardDeclinedError; PaymentClosedError; ProviderUnavailableError
   */
  async charge(id: string, { idempotencyKey: key, signal }: Request): Promise<Booking> {
    const { value: payment } = await this.change(id, (found) => ({ ...found, requests: found.requests + 1 }));
    const trouble = this.trouble(payment);
    await sleep(this.options.latencyMs, undefined, { signal });
    if (trouble === 'refused') throw new ProviderUnavailableError();
    if (this.options.declinedCards.includes(payment.card)) throw new CardDeclinedError(payment.card);
    const { value: charged } = await this.change(id, (found) => {
      if (found.log.some((booking) => booking.key === key)) return found;
      if (found.closed) throw new PaymentClosedError(id);
      return { ...found, log: [...found.log, book('charge', found.amount, key)] };
    });
    if (trouble === 'lost') throw new ProviderUnavailableError();
    if (trouble === 'silent') await untilAborted(signal);
    return charged.log.find((booking) => booking.key === key)!;
  }

  /** Gives back what was charged, if anything was, and closes the payment for what may come late. */
  async refund(id: string, { idempotencyKey: key }: Request): Promise<void> {
    await sleep(this.options.latencyMs);
    await this.change(id, (found) => {
      const balance = found.log.reduce(
        (sum, { kind, amount }) => sum + (kind === 'charge' ? amount : -amount),
        0,
      );
      const log = balance === 0 ? found.log : [...found.log, book('refund', balance, key)];
      return { ...found, closed: true, log };
    });
  }

  /** What the provider knows of an order; one that was paid again after a refund has several. */
  async of(orderId: string): Promise<Payment[]> {
    const { entries } = await this.payments.list({ prefix: `${orderId}/`, limit: 100 });
    return entries.map(({ value }) => value);
  }

  private change(id: string, fn: (payment: Payment) => Payment) {
    return this.payments.update(id, (found) => {
      if (found === undefined) throw new PaymentClosedError(id);
      return fn(found);
    });
  }

  /** What goes wrong with a request: it does nothing, it does its work and fails, or it does its work and is silent. */
  private trouble({ requests }: Payment): 'refused' | 'lost' | 'silent' | undefined {
    const { failureRate, timeoutRate, maxFailures } = this.options;
    if (requests > maxFailures) return undefined;
    const dice = Math.random();
    if (dice < timeoutRate) return 'silent';
    if (dice >= timeoutRate + failureRate) return undefined;
    return Math.random() < 0.5 ? 'refused' : 'lost';
  }
}

function book(kind: Booking['kind'], amount: number, key: string): Booking {
  return { kind, amount, key, at: new Date().toISOString() };
}

/** For those who set no limit this is for ever, as with a real one. */
async function untilAborted(signal: AbortSignal | undefined): Promise<void> {
  await sleep(2 ** 31 - 1, undefined, { signal, ref: false });
}
