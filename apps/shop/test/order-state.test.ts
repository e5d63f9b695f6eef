import { evolveOrder, type OrderState } from '../src/orders/order-state.js';
import type { OrderEvent } from '../src/orders/order.events.js';
import type { Line } from '../src/orders/line.js';
import { toParcels } from '../src/orders/parcel.js';

const line = (productId: string, quantity: number): Line => ({
  productId,
  name: 'Thing',
  quantity,
  unitPrice: 100,
});
const placed: OrderEvent[] = [
  { type: 'OrderPlaced', data: { placedAt: '2026-01-01T00:00:00.000Z', total: 300 } },
  { type: 'ProductSold', data: line('pen', 2) },
  { type: 'ProductSold', data: line('ink', 1) },
];
const parcels = [{ id: '1', productId: 'pen', quantity: 2 }];
const reserved: OrderEvent = { type: 'StockReserved', data: { parcels } };
const paid: OrderEvent = { type: 'OrderPaid', data: { paymentId: 'p', amount: 300 } };
const cancelled: OrderEvent = { type: 'OrderCancelled', data: { reason: 'Why not?' } };

function after(...events: OrderEvent[]): OrderState | null {
  return events.reduce<OrderState | null>(evolveOrder, null);
}

describe('The state of an order', () => {
  it('is none before it is placed', () => {
    expect(after(paid)).toBeNull();
  });

  it('is what its events add up to', () => {
    expect(after(...placed)).toMatchObject({ status: 'placed', parcels: [], payments: 0 });
    expect(after(...placed, reserved, paid)).toEqual({
      status: 'paid',
      items: [line('pen', 2), line('ink', 1)],
      parcels,
      payments: 1,
    });
    const shipped = { type: 'ParcelShipped', data: { parcelId: '1', trackingNumber: 'n' } } as const;
    const shipping = { type: 'ShippingStarted', data: {} } as const;
    expect(after(...placed, reserved, paid, shipping, shipped)?.status).toBe('shipping');
  });

  it('has each of its lines once, though they are sold again after it was cancelled', () => {
    const returned = placed.slice(1).map(({ data }) => ({ type: 'ProductReturned', data }) as OrderEvent);
    const again = after(
      ...placed,
      reserved,
      paid,
      ...returned,
      cancelled,
      ...placed.slice(1),
      reserved,
      paid,
    );
    expect(again).toMatchObject({ status: 'paid', items: [line('pen', 2), line('ink', 1)], payments: 2 });
  });
});

describe('Parcels', () => {
  it('have one product each, and not too many of it', () => {
    expect(toParcels([line('pen', 1001), line('ink', 500)])).toEqual([
      { id: '1', productId: 'pen', quantity: 500 },
      { id: '2', productId: 'pen', quantity: 500 },
      { id: '3', productId: 'pen', quantity: 1 },
      { id: '4', productId: 'ink', quantity: 500 },
    ]);
  });
});
