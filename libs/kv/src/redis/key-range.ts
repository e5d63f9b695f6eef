import { compareUtf8 } from '@nestbox/core';
import type { KeyRange } from '../kv.adapter.js';

/** A bound of ZRANGEBYLEX. */
export type LexBound = string | Buffer;

/** The bounds of a sorted set in byte order, lower one first. */
export interface LexRange {
  min: LexBound;
  max: LexBound;
}

/** No UTF-8 text has it, so that it follows every key with the prefix before it. */
const AFTER_ALL = Buffer.from([0xff]);

/** The keys of a range as Redis takes them; undefined when there can be none. */
export function lexRange({
  prefix = '',
  start,
  end,
  after,
  reverse = false,
}: KeyRange): LexRange | undefined {
  const from = [start, prefix === '' ? undefined : prefix].filter((bound) => bound !== undefined);
  let min: LexBound = '-';
  const lowest = from.sort(compareUtf8).at(-1);
  if (lowest !== undefined) min = `[${lowest}`;
  if (after !== undefined && !reverse && (lowest === undefined || compareUtf8(after, lowest) >= 0)) {
    min = `(${after}`;
  }

  let highest = end;
  if (after !== undefined && reverse && (highest === undefined || compareUtf8(after, highest) < 0)) {
    highest = after;
  }
  let max: LexBound = highest === undefined ? '+' : `(${highest}`;
  // The bound may be beyond the prefix, before it, or within it.
  if (
    prefix !== '' &&
    (highest === undefined || (!highest.startsWith(prefix) && compareUtf8(highest, prefix) > 0))
  ) {
    max = Buffer.concat([Buffer.from(`(${prefix}`), AFTER_ALL]);
  }
  return highest !== undefined && lowest !== undefined && compareUtf8(lowest, highest) >= 0
    ? undefined
    : { min, max };
}
