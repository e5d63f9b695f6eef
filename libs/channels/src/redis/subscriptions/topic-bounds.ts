import { compareUtf8 } from '@nestbox/core';
import type { TopicRange } from './redis-subscriptions.js';

/** No UTF-8 text has it, so that it follows every text with the prefix before it. */
const AFTER_ALL = Buffer.from([0xff]);

/** The bounds of ZRANGEBYLEX. */
export function topicBounds({ prefix, after }: TopicRange): [min: string, max: string | Buffer] {
  const max = prefix === '' ? '+' : Buffer.concat([Buffer.from(`(${prefix}`), AFTER_ALL]);
  if (after !== undefined && compareUtf8(after, prefix) >= 0) return [`(${after}`, max];
  return [prefix === '' ? '-' : `[${prefix}`, max];
}
