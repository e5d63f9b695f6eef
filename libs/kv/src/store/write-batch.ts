import type { JsonValue } from '@nestbox/core';
import type { Expiry } from '../kv.adapter.js';
import { VersionConflictError } from '../kv.errors.js';
import type { StoreContext } from './store-context.js';

/** A batch that is written at a time is not larger than this, whatever the number of its entries. */
export const MAX_BATCH_BYTES = 4 * 1024 * 1024;

/** An entry that is brought over from elsewhere, under its key inside the store. */
export interface MovedEntry {
  key: string;
  value: JsonValue;
  expiresAt: Date | null;
}

/** Writes entries with what is left of their time, and tells how many were written. */
export async function writeBatch(
  context: StoreContext,
  batch: MovedEntry[],
  overwrite: boolean,
): Promise<number> {
  const now = Date.now();
  const live = batch.flatMap(({ key, value, expiresAt }) => {
    const expiry = remaining(expiresAt, now);
    return expiry === undefined ? [] : [{ key: context.space.outer(key), value, expiry }];
  });
  if (live.length === 0) return 0;
  const keys = live.map(({ key }) => key);
  const { adapter, recording } = context;
  if (overwrite) {
    await context.write(keys, () => adapter.setMany(live, recording));
    return live.length;
  }
  const written = await context.write(keys, () =>
    Promise.allSettled(
      live.map(({ key, value, expiry }) =>
        adapter.set(key, value, { ...recording, expiry, ifVersion: 'absent' }),
      ),
    ),
  );
  let count = 0;
  for (const result of written) {
    if (result.status === 'fulfilled') count++;
    else if (!(result.reason instanceof VersionConflictError)) throw result.reason;
  }
  return count;
}

/** Undefined for an entry whose time is up. */
function remaining(expiresAt: Date | null, now: number): Expiry | undefined {
  if (expiresAt === null) return 'never';
  const ttl = expiresAt.getTime() - now;
  return ttl > 0 ? { ttl } : undefined;
}
