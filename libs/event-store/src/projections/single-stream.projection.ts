import { InvalidArgumentError, assertName } from '@nestbox/core';
import type { Event, ReadEvent } from '../event.types.js';
import { evolvingProjection, type EvolvingProjectionOptions } from './document-plan.js';
import type { Document, Projection } from './projection.types.js';

export interface SingleStreamProjectionOptions<
  Doc extends Document,
  E extends Event,
> extends EvolvingProjectionOptions<Doc, E> {
  /** The document of a stream. Default: the stream's name. */
  getDocumentId?: (event: ReadEvent<E>) => string;
}

/**
 * Keeps one document for each stream.
 *
 * @throws InvalidArgumentError
 */
export function singleStreamProjection<Doc extends Document, E extends Event>(
  options: SingleStreamProjectionOptions<Doc, E>,
): Projection<E> {
  const { getDocumentId } = options;
  if (getDocumentId === undefined)
    return evolvingProjection(options, (event) => [event.metadata.streamName], true);
  if (typeof getDocumentId !== 'function') {
    throw new InvalidArgumentError('getDocumentId', 'must be a function.');
  }
  return evolvingProjection(
    options,
    (event) => {
      const id: unknown = getDocumentId(event);
      assertName(id, 'getDocumentId(event)');
      return [id];
    },
    false,
  );
}
