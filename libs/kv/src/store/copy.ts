import { InvalidArgumentError, type JsonValue } from '@nestbox/core';
import { assertLimit } from '../adapter-support.js';
import { entries } from './pages.js';
import type { StoreContext } from './store-context.js';
import type { CopyOptions, CopyResult } from '../kv.types.js';
import { MAX_BATCH_BYTES, writeBatch, type MovedEntry } from './write-batch.js';

/** Copies every entry of a store into another, which may have another backend. */
export async function copy(
  source: StoreContext,
  target: StoreContext,
  { batchSize = 500, overwrite = true, onProgress }: CopyOptions,
): Promise<CopyResult> {
  assertLimit(batchSize, 'batchSize');
  if (source.adapter === target.adapter && target.space.prefix.startsWith(source.space.prefix)) {
    throw new InvalidArgumentError('other', 'lies within the store that is copied, which would never end.');
  }
  const { count: total } = await source.adapter.stats(source.space.prefix);
  const done: CopyResult = { copied: 0, skipped: 0 };
  let batch: MovedEntry[] = [];
  let bytes = 0;

  const store = async (): Promise<void> => {
    const copied = await writeBatch(target, batch, overwrite);
    done.copied += copied;
    done.skipped += batch.length - copied;
    batch = [];
    bytes = 0;
    onProgress?.({ copied: done.copied, total });
  };

  for await (const { key, value, expiresAt } of entries<JsonValue>(source, { batchSize })) {
    batch.push({ key, value, expiresAt });
    bytes += sizeOf(value);
    if (batch.length === batchSize || bytes >= MAX_BATCH_BYTES) await store();
  }
  if (batch.length > 0) await store();
  return done;
}

/** About how many bytes a value takes; only what may be large is measured. */
function sizeOf(value: JsonValue): number {
  if (typeof value === 'string') return value.length;
  return typeof value === 'object' ? JSON.stringify(value).length : 8;
}
