import { InvalidArgumentError, assertName } from '@nestbox/core';

/** What a cursor belongs to: a listing in one of its directions, or a query. */
export type CursorKind = 'forward' | 'reverse' | 'query';

const LETTERS: Record<CursorKind, string> = { forward: 'f', reverse: 'r', query: 'q' };

/** A text from which the reading can go on after a key. */
export function encodeCursor(kind: CursorKind, key: string): string {
  return Buffer.from(LETTERS[kind] + key).toString('base64url');
}

/**
 * The key after which to go on.
 *
 * @throws InvalidArgumentError when it is no cursor, or one of another kind
 */
export function decodeCursor(kind: CursorKind, cursor: string): string {
  const malformed = new InvalidArgumentError(
    'cursor',
    'is not a cursor that this store gave; start without one.',
  );
  if (typeof cursor !== 'string') throw malformed;
  const text = Buffer.from(cursor, 'base64url').toString();
  const [letter, key] = [text.slice(0, 1), text.slice(1)];
  if (Buffer.from(text).toString('base64url') !== cursor || !Object.values(LETTERS).includes(letter)) {
    throw malformed;
  }
  if (letter !== LETTERS[kind]) {
    throw new InvalidArgumentError('cursor', 'belongs to a reading in another direction; start without one.');
  }
  assertName(key, 'cursor');
  return key;
}
