import type { Line } from './line.js';
import type { OrderEvent } from './order.events.js';
import type { Parcel } from './parcel.js';

/** How far an order has come. */
export type OrderStatus = 'placed' | 'reserved' | 'paid' | 'packed' | 'shipping' | 'shipped' | 'cancelled';

/** What the events of an order add up to, to decide on what may happen next. */
export interface OrderState {
  status: OrderStatus;
  items: Line[];
  /** Empty before they are set aside. */
  parcels: Parcel[];
  /** How often it was paid; more than once where it was cancelled in between. */
  payments: number;
}

const STATUS = {
  OrderPlaced: 'placed',
  StockReserved: 'reserved',
  OrderPaid: 'paid',
  OrderPacked: 'packed',
  ShippingStarted: 'shipping',
  OrderShipped: 'shipped',
  OrderCancelled: 'cancelled',
} as const satisfies Partial<Record<OrderEvent['type'], OrderStatus>>;

/** Whether an order is in another state after such an event. */
export function isTurn(type: OrderEvent['type']): type is keyof typeof STATUS {
  return type in STATUS;
}

/** How far an order has come with an event. */
export function statusAfter(status: OrderStatus, { type }: Pick<OrderEvent, 'type'>): OrderStatus {
  return isTurn(type) ? STATUS[type] : status;
}

/** The order after an event; null for one that is not there. */
export function evolveOrder(state: OrderState | null, event: OrderEvent): OrderState | null {
  if (event.type === 'OrderPlaced') return { status: 'placed', items: [], parcels: [], payments: 0 };
  if (state === null) return null;
  const after = { ...state, status: statusAfter(state.status, event) };
  if (event.type === 'StockReserved') return { ...after, parcels: event.data.parcels };
  if (event.type === 'OrderPaid') return { ...after, payments: state.payments + 1 };
  // Sold again, it is in the order already.
  const isNew = event.type === 'ProductSold' && state.status === 'placed';
  return isNew ? { ...after, items: [...state.items, event.data] } : after;
}
