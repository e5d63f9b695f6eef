import { Buffer } from 'node:buffer';
import { InvalidArgumentError } from '@nestbox/core';
import { PayloadTooLargeError } from '../workflow.errors.js';
import { decodeTagged } from './decode-tagged.js';
import { ValueEncoder } from './value-encoder.js';

export { encodeError } from './encode-error.js';

/**
 * Writes a value as JSON text that PostgreSQL takes for jsonb, so that {@link decodeValue} gives one that is equal.
 *
 * What JSON can hold is written as it is. These are kept too, at any depth, as objects with a `$type`: undefined, Date,
 * bigint, Map, Set, `NaN`, `Infinity`, `-0`, RegExp (without its `lastIndex`), URL, Buffer and Uint8Array, Error (name,
 * message, code, stack, cause, errors and own properties, as far as these can be written, and 100 causes deep), and
 * texts and property names with NUL or lone surrogates. An object without a prototype comes back as a plain one, and one
 * that is there twice as two.
 *
 * @param path what to call the value in an error
 * @throws InvalidArgumentError, with the path, for functions, symbols, instances of other classes, circular references,
 *   holes and named properties in arrays, and nesting over 1,000 levels
 */
export function encodeValue(value: unknown, path: string): string {
  return JSON.stringify(new ValueEncoder(path).encode(value));
}

/** The value that {@link encodeValue} wrote, from parsed JSON. JSON that it did not write stays as it is. */
export function decodeValue(json: unknown): unknown {
  if (typeof json !== 'object' || json === null) return json;
  if (Array.isArray(json)) return decodeArray(json);
  if (Object.hasOwn(json, '$type')) {
    const decoded = decodeTagged(json, decodeValue);
    if (decoded !== undefined) return decoded.value;
  }
  return decodeObject(json as Record<string, unknown>);
}

/**
 * Checks what {@link encodeValue} wrote against a limit, in bytes of UTF-8.
 *
 * @param what what to call it in the error
 * @throws PayloadTooLargeError; InvalidArgumentError for a limit that is no number
 */
export function checkSize(encoded: string, what: string, maxBytes: number): void {
  if (!(maxBytes >= 0)) throw new InvalidArgumentError('maxBytes', `${maxBytes} must be at least 0.`);
  // Every UTF-16 unit takes at most three bytes, so most values need no count.
  if (encoded.length * 3 <= maxBytes) return;
  const bytes = Buffer.byteLength(encoded);
  if (bytes > maxBytes) throw new PayloadTooLargeError(what, bytes, maxBytes);
}

function decodeArray(array: readonly unknown[]): readonly unknown[] {
  let copy: unknown[] | undefined;
  for (let i = 0; i < array.length; i++) {
    const decoded = decodeValue(array[i]);
    // `NaN` is not in JSON, so that what differs was decoded.
    if (decoded !== array[i]) (copy ??= [...array])[i] = decoded;
  }
  return copy ?? array;
}

function decodeObject(object: Record<string, unknown>): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined;
  for (const key of Object.keys(object)) {
    const value = object[key];
    const decoded = decodeValue(value);
    if (decoded === value) continue;
    // A spread copies an own property "__proto__", but an assignment to it sets the prototype.
    copy ??= { ...object };
    if (key === '__proto__') Object.defineProperty(copy, key, { ...OWN, value: decoded });
    else copy[key] = decoded;
  }
  return copy ?? object;
}

const OWN = { configurable: true, enumerable: true, writable: true };
