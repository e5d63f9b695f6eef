import { Coalescer, type CoalescerOptions } from '@nestbox/core';

interface Flight<Item, Result> {
  items: Item[];
  land(results: readonly Result[]): void;
  crash(error: unknown): void;
}

/** A flush that stays under way until the test says how it ends. */
export class Flights<Item, Result = Item> {
  /** Every batch so far, oldest first. */
  readonly all: Flight<Item, Result>[] = [];

  readonly flush = (items: Item[]): Promise<readonly Result[]> =>
    new Promise((resolve, reject) => {
      this.all.push({ items, land: resolve, crash: reject });
    });

  get batches(): Item[][] {
    return this.all.map((flight) => flight.items);
  }
}

export interface Write {
  key?: string;
  id: number;
  size?: number;
}

export function numbers(flights: Flights<number>, options: Partial<CoalescerOptions<number, number>> = {}) {
  return new Coalescer<number, number>({ name: 'numbers', flush: flights.flush, ...options });
}

export function writes(
  flights: Flights<Write, string>,
  options: Partial<CoalescerOptions<Write, string>> = {},
) {
  return new Coalescer<Write, string>({
    name: 'writes',
    flush: flights.flush,
    key: (write) => write.key,
    size: (write) => write.size ?? 0,
    ...options,
  });
}

/** Lets everything happen that waits for no timer and no I/O. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** How a promise has ended so far. */
export async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  const pending = Symbol('pending');
  try {
    const first = await Promise.race([promise, Promise.resolve(pending)]);
    return first === pending ? 'pending' : first;
  } catch (error) {
    return error;
  }
}
