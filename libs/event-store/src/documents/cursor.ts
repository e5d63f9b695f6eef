import { InvalidArgumentError, assertJson, assertName, type JsonValue } from '@nestbox/core';
import type { DocumentQuery } from './document-query.js';

type Position = NonNullable<DocumentQuery['after']>;

/** A text from which reading can go on behind a document. It belongs to one order. */
export function encodeCursor({ id, value }: Position, sort: DocumentQuery['sort']): string {
  const parts: JsonValue[] = [orderOf(sort), id];
  if (value !== undefined) parts.push(value);
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** @throws InvalidArgumentError when it is no cursor, or one of another order */
export function decodeCursor(cursor: unknown, sort: DocumentQuery['sort']): Position {
  const parts = typeof cursor === 'string' ? parse(cursor) : undefined;
  if (parts === undefined) {
    throw new InvalidArgumentError('options.cursor', 'is not a cursor that a page had; start without one.');
  }
  const [order, id, value] = parts;
  if (order !== orderOf(sort)) {
    throw new InvalidArgumentError('options.cursor', 'belongs to another order; start without one.');
  }
  assertName(id, 'options.cursor');
  if (value !== undefined) assertJson(value, 'options.cursor');
  return { id, value };
}

function parse(cursor: string): unknown[] | undefined {
  const text = Buffer.from(cursor, 'base64url').toString();
  if (Buffer.from(text).toString('base64url') !== cursor) return undefined;
  try {
    const parts: unknown = JSON.parse(text);
    return Array.isArray(parts) && (parts.length === 2 || parts.length === 3) ? parts : undefined;
  } catch {
    return undefined;
  }
}

function orderOf(sort: DocumentQuery['sort']): string {
  return sort === undefined ? '' : `${sort.descending ? '-' : '+'}${sort.path.join('.')}`;
}
