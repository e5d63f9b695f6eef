import { UnsupportedOperationError } from '@nestbox/core';
import { assertLimit, assertVersion } from '../adapter-support.js';
import type { HistoryEntry } from '../kv.types.js';
import type { StoreContext } from './store-context.js';

/** The states that a key has had, newest first. */
export async function history<V>(
  context: StoreContext,
  key: string,
  limit: number,
): Promise<HistoryEntry<V>[]> {
  const outer = context.space.outer(key);
  assertLimit(limit);
  assertVersioning(context, 'history');
  const states = await context.adapter.history(outer, limit);
  return states.map((state) => ({ ...state, key }) as HistoryEntry<V>);
}

/** The state that a key had at a version. */
export async function getVersion<V>(
  context: StoreContext,
  key: string,
  version: bigint,
): Promise<HistoryEntry<V> | undefined> {
  const outer = context.space.outer(key);
  assertVersion(version);
  assertVersioning(context, 'getVersion');
  const state = await context.adapter.getVersion(outer, version);
  return state === undefined ? undefined : ({ ...state, key } as HistoryEntry<V>);
}

function assertVersioning({ recording }: StoreContext, operation: string): void {
  if (!recording.recordHistory) {
    throw new UnsupportedOperationError(
      operation,
      'a store without versioning',
      'Create it with enableVersioning: true; states are kept from then on.',
    );
  }
}
