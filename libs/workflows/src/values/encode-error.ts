import { inspect } from 'node:util';
import { isErrorLike, partsOf } from './error-parts.js';
import { ValueEncoder } from './value-encoder.js';

/** How much is kept of a text when an error is cut, in UTF-16 units. */
const CUT = 2_000;
const UNREADABLE = 'Something was thrown that cannot be recorded.';

/**
 * Writes anything that was thrown, as `encodeValue` writes a value, and never throws itself: of what cannot be
 * recorded, an error that shows it is written instead.
 *
 * @param maxBytes an error that takes more, in bytes of UTF-8, is cut down to its name, code and the beginnings of its
 *   message and stack. Default: no limit.
 */
export function encodeError(error: unknown, maxBytes = Infinity): string {
  try {
    const encoded = JSON.stringify(new ValueEncoder('error').encode(error));
    if (encoded.length * 3 <= maxBytes || Buffer.byteLength(encoded) <= maxBytes) return encoded;
  } catch {
    // A part of something other than an error, as a rule.
  }
  return JSON.stringify(new ValueEncoder('error').encode(shortened(error)));
}

function shortened(error: unknown): Error {
  const parts = isErrorLike(error) ? partsOf(error) : undefined;
  const short = new Error((parts?.message ?? show(error)).slice(0, CUT));
  Object.defineProperty(short, 'name', { value: (parts?.name ?? 'Error').slice(0, CUT) });
  Object.defineProperty(short, 'stack', { value: parts?.stack?.slice(0, CUT) });
  const code = parts?.code?.value;
  if (typeof code === 'string') Object.assign(short, { code: code.slice(0, CUT) });
  else if (typeof code === 'number') Object.assign(short, { code });
  return short;
}

function show(thrown: unknown): string {
  try {
    return inspect(thrown, { depth: 3, maxStringLength: CUT });
  } catch {
    return UNREADABLE;
  }
}
