import { InvalidArgumentError } from '@nestbox/core';

const MARK = 'after:';

/** What a client sends to get the page behind an id. */
export function toCursor(id: string): string {
  return Buffer.from(MARK + id).toString('base64url');
}

/** @throws InvalidArgumentError when it is none of ours */
export function fromCursor(cursor: string): string {
  const text = Buffer.from(cursor, 'base64url').toString();
  if (!text.startsWith(MARK) || Buffer.from(text).toString('base64url') !== cursor || text.includes('\0')) {
    throw new InvalidArgumentError('cursor', 'must be one that came with the page before.');
  }
  return text.slice(MARK.length);
}
