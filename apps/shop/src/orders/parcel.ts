import type { Line } from './line.js';

/** What is shipped together. */
export interface Parcel {
  /** Unique within its order. */
  id: string;
  productId: string;
  quantity: number;
}

/** How many of one product go into a parcel. */
const PARCEL_SIZE = 500;

/** Each product comes from a shelf of its own, so it goes in parcels of its own. */
export function toParcels(lines: readonly Line[]): Parcel[] {
  const parcels: Parcel[] = [];
  for (const { productId, quantity } of lines) {
    for (let left = quantity; left > 0; left -= PARCEL_SIZE) {
      parcels.push({ id: `${parcels.length + 1}`, productId, quantity: Math.min(left, PARCEL_SIZE) });
    }
  }
  return parcels;
}
