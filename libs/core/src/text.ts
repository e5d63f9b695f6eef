import { InvalidArgumentError } from './errors.js';

/** The longest name (key, topic, stream, channel…) that is accepted, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 512;

/** PostgreSQL cuts longer identifiers in silence. */
const MAX_IDENTIFIER_BYTES = 63;

/** The first reason why neither PostgreSQL nor UTF-8 can hold a text, or undefined when they can. */
export function textProblem(text: string): string | undefined {
  if (text.includes('\0'))
    return 'contains a NUL character (U+0000), which PostgreSQL cannot store; remove it.';
  if (!text.isWellFormed()) return 'contains a lone surrogate, which is not valid Unicode; remove it.';
  return undefined;
}

/**
 * Checks a name given by the user, such as a key or a topic.
 *
 * @throws InvalidArgumentError unless it is a non-empty, well-formed text of at most 512 bytes without NUL
 */
export function assertName(name: unknown, path: string): asserts name is string {
  if (typeof name !== 'string') {
    throw new InvalidArgumentError(path, `must be a string, not ${name === null ? 'null' : typeof name}.`);
  }
  if (name === '') throw new InvalidArgumentError(path, 'must not be empty.');
  const problem = textProblem(name);
  if (problem !== undefined) throw new InvalidArgumentError(path, problem);
  // Every UTF-16 unit takes at most three bytes, so most names need no count.
  if (name.length * 3 > MAX_NAME_BYTES) {
    const bytes = Buffer.byteLength(name);
    if (bytes > MAX_NAME_BYTES) {
      throw new InvalidArgumentError(path, `is ${bytes} bytes long; at most ${MAX_NAME_BYTES} are allowed.`);
    }
  }
}

/**
 * Checks an SQL identifier given by the user, such as a schema or a table. Any text that PostgreSQL can hold is
 * accepted, SQL keywords included, since identifiers are always quoted.
 *
 * @param maxBytes less than 63 where a suffix will be added
 * @throws InvalidArgumentError when it is empty, malformed or too long
 */
export function assertIdentifier(
  identifier: unknown,
  path: string,
  maxBytes = MAX_IDENTIFIER_BYTES,
): asserts identifier is string {
  assertName(identifier, path);
  const bytes = Buffer.byteLength(identifier);
  if (bytes > maxBytes) {
    throw new InvalidArgumentError(path, `is ${bytes} bytes long; at most ${maxBytes} are allowed here.`);
  }
}

/** Orders texts by their UTF-8 bytes, as PostgreSQL's `collate "C"` does; UTF-16 order differs above U+FFFF. */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) {
      const xSurrogate = (x & 0xf800) === 0xd800;
      const ySurrogate = (y & 0xf800) === 0xd800;
      if (xSurrogate !== ySurrogate) return xSurrogate ? 1 : -1;
      return x < y ? -1 : 1;
    }
  }
  return a.length < b.length ? -1 : 1;
}
