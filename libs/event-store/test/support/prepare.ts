import { InvalidArgumentError } from '@nestbox/core';
import { prepareAppend, type PrepareSettings } from '../../src/append/prepare-append.js';
import type { AppendRequest } from '../../src/event-store.backend.js';
import type { AppendToStreamOptions } from '../../src/event-store.types.js';
import type { Event } from '../../src/event.types.js';

const settings: PrepareSettings = {
  codec: undefined,
  categoryOf: (streamName) => streamName.split('-', 1)[0]!,
  maxEventBytes: 1_048_576,
};

/** Checks and encodes an append to `cart-1`. */
export function prepare(
  events: unknown,
  options: AppendToStreamOptions = {},
  { streamName = 'cart-1', ...more }: Partial<PrepareSettings> & { streamName?: unknown } = {},
): AppendRequest {
  return prepareAppend(streamName as string, events as Event[], options, { ...settings, ...more });
}

/** Why it is refused. */
export function problemOf(...args: Parameters<typeof prepare>): { path: string; problem: string } {
  try {
    prepare(...args);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    return { path: error.path, problem: error.problem };
  }
  throw new Error('It was accepted.');
}

export const good = { type: 'Added', data: { quantity: 1 } };
/** Good events, but for the data of the second. */
export const withData = (data: unknown): unknown[] => [good, { type: 'Added', data }];
/** Good events, but for the metadata of the second. */
export const withMetadata = (metadata: unknown): unknown[] => [good, { ...good, metadata }];
