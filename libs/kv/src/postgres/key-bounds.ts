import { compareUtf8 } from '@nestbox/core';
import type { KeyRange } from '../kv.adapter.js';

/** Keys from `from` on (inclusive) and below `below`; undefined where nothing bounds them above. */
export interface KeyBounds {
  from: string;
  below: string | undefined;
}

/** The bounds of a range in one pair, so that an index serves them. */
export function boundsOf({
  prefix = '',
  start = '',
  end,
  after,
  reverse = false,
}: Omit<KeyRange, 'limit'>): KeyBounds {
  let from = higher(prefix, start);
  let below = lower(afterPrefix(prefix), end);
  if (after !== undefined) {
    if (reverse) below = lower(below, after);
    else from = higher(from, successor(after));
  }
  return { from, below };
}

/** The lowest text above all those that begin with a prefix; undefined when there is none. */
export function afterPrefix(prefix: string): string | undefined {
  const codePoints = Array.from(prefix, (character) => character.codePointAt(0)!);
  for (;;) {
    const last = codePoints.pop();
    if (last === undefined) return undefined;
    // Code points order as their UTF-8 bytes do. The surrogates are none in UTF-8.
    const next = last === 0xd7ff ? 0xe000 : last + 1;
    if (next <= 0x10ffff) return String.fromCodePoint(...codePoints, next);
  }
}

/** The lowest text above another one: nothing lies between, as NUL is in no key. */
function successor(text: string): string {
  return `${text}\u0001`;
}

function higher(a: string, b: string): string {
  return compareUtf8(a, b) >= 0 ? a : b;
}

function lower(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareUtf8(a, b) <= 0 ? a : b;
}
