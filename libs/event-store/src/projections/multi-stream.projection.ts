import { InvalidArgumentError, assertName } from '@nestbox/core';
import type { Event, ReadEvent } from '../event.types.js';
import { evolvingProjection, type EvolvingProjectionOptions } from './document-plan.js';
import type { Document, Projection } from './projection.types.js';

export interface MultiStreamProjectionOptions<
  Doc extends Document,
  E extends Event,
> extends EvolvingProjectionOptions<Doc, E> {
  /** The document that an event changes; null for none. */
  getDocumentId?: (event: ReadEvent<E>) => string | null | undefined;
  /** The documents that an event changes, one after the other; instead of `getDocumentId`. */
  getDocumentIds?: (event: ReadEvent<E>) => readonly string[];
}

/**
 * Keeps documents that events of many streams change. Concurrent appends lose no update and do not deadlock.
 *
 * @throws InvalidArgumentError
 */
export function multiStreamProjection<Doc extends Document, E extends Event>(
  options: MultiStreamProjectionOptions<Doc, E>,
): Projection<E> {
  const { getDocumentId, getDocumentIds } = options;
  if ((typeof getDocumentId === 'function') === (typeof getDocumentIds === 'function')) {
    throw new InvalidArgumentError(
      'getDocumentId',
      'or else getDocumentIds must be a function; give one of them.',
    );
  }
  const idsOf = (event: ReadEvent<E>): readonly string[] => {
    if (getDocumentIds !== undefined) return checkIds(getDocumentIds(event));
    const id = getDocumentId!(event);
    if (id === null || id === undefined) return [];
    assertName(id, 'getDocumentId(event)');
    return [id];
  };
  return evolvingProjection(options, idsOf, false);
}

function checkIds(ids: unknown): readonly string[] {
  if (!Array.isArray(ids))
    throw new InvalidArgumentError('getDocumentIds(event)', 'must be an array of ids.');
  for (const [i, id] of ids.entries()) assertName(id, `getDocumentIds(event)[${i}]`);
  // An event changes a document once.
  return [...new Set(ids as string[])];
}
