import { KeyValueStore, MemoryAdapter } from '@nestbox/kv';
import type { PaymentOptions } from '../src/payments/payment.options.js';
import { PaymentProvider } from '../src/payments/payment-provider.js';

const PAYMENT = { orderId: 'order', card: 'card_visa', amount: 500 };

function provider(options: Partial<PaymentOptions> = {}): PaymentProvider {
  const calm = {
    failureRate: 0,
    timeoutRate: 0,
    maxFailures: Infinity,
    latencyMs: 0,
    declinedCards: ['bad'],
  };
  return new PaymentProvider(new KeyValueStore({ adapter: new MemoryAdapter() }), { ...calm, ...options });
}

async function bookings(payments: PaymentProvider): Promise<string[]> {
  return (await payments.of('order')).flatMap(({ log }) =>
    log.map(({ kind, amount }) => `${kind} ${amount}`),
  );
}

describe('The payment provider', () => {
  it('charges once under one key, however many ask at once', async () => {
    const payments = provider();
    const id = await payments.open(PAYMENT);
    const charge = () => payments.charge(id, { idempotencyKey: 'k' });
    const all = await Promise.all(Array.from({ length: 10 }, charge));
    expect(new Set(all.map(({ at }) => at)).size).toBe(1);
    expect(await bookings(payments)).toEqual(['charge 500']);
    expect(await payments.of('order')).toMatchObject([{ requests: 10 }]);
  });

  it('has charged or not when it fails, and charges once in the end', async () => {
    const payments = provider({ failureRate: 1, maxFailures: 5 });
    const id = await payments.open(PAYMENT);
    for (let i = 0; i < 5; i++) {
      const failing = payments.charge(id, { idempotencyKey: 'k' });
      await expect(failing).rejects.toMatchObject({ name: 'ProviderUnavailableError' });
    }
    await payments.charge(id, { idempotencyKey: 'k' });
    expect(await bookings(payments)).toEqual(['charge 500']);
  });

  it('is silent until nobody listens any more, and has charged', async () => {
    const payments = provider({ timeoutRate: 1 });
    const id = await payments.open(PAYMENT);
    const signal = AbortSignal.timeout(20);
    const charge = payments.charge(id, { idempotencyKey: 'k', signal });
    await expect(charge).rejects.toMatchObject({ name: 'AbortError' });
    expect(await bookings(payments)).toEqual(['charge 500']);
  });

  it('gives back what it has charged, once, and charges no more', async () => {
    const payments = provider();
    const id = await payments.open(PAYMENT);
    await payments.charge(id, { idempotencyKey: 'k' });
    await payments.refund(id, { idempotencyKey: 'r' });
    await payments.refund(id, { idempotencyKey: 'r' });
    expect(await bookings(payments)).toEqual(['charge 500', 'refund 500']);
    const late = payments.charge(id, { idempotencyKey: 'other' });
    await expect(late).rejects.toMatchObject({ name: 'PaymentClosedError', code: 'NON_RETRYABLE' });
  });

  it('charges nothing that comes after the refund', async () => {
    const payments = provider();
    const id = await payments.open(PAYMENT);
    await payments.refund(id, { idempotencyKey: 'r' });
    await expect(payments.charge(id, { idempotencyKey: 'k' })).rejects.toMatchObject({
      name: 'PaymentClosedError',
    });
    expect(await bookings(payments)).toEqual([]);
  });

  it('charges no card that is declined', async () => {
    const payments = provider();
    const id = await payments.open({ ...PAYMENT, card: 'bad' });
    await expect(payments.charge(id, { idempotencyKey: 'k' })).rejects.toMatchObject({
      name: 'CardDeclinedError',
      code: 'NON_RETRYABLE',
    });
    expect(await bookings(payments)).toEqual([]);
  });
});
