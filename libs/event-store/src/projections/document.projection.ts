import { InvalidArgumentError, assertName } from '@nestbox/core';
import type { CollectionSchema } from '../documents/document.backend.js';
import type { Event, ReadEvent, Upcast } from '../event.types.js';
import { checkCollection, checkTypes } from './document-plan.js';
import type { Projection, ProjectionContext } from './projection.types.js';

/** A projection whose handlers turn one document per id into the next. */
export interface DocumentProjectionOptions<E extends Event> {
  name: string;
  /** The types of the events that it gets. Default: all. */
  canHandle?: readonly E['type'][];
  /** The collections that it writes, by `context.collection(name)`; a name alone has no indexes. */
  collections: readonly (string | (Pick<CollectionSchema, 'name'> & Partial<CollectionSchema>))[];
  /** Gets the events of one transaction and one partition, in order. */
  handle: (events: readonly ReadEvent<E>[], context: ProjectionContext) => Promise<void> | void;
  /** How events look today; after the store's own. */
  upcast?: Upcast;
}

/**
 * Writes documents as its handler likes, in one or several collections.
 *
 * @throws InvalidArgumentError
 */
export function documentProjection<E extends Event>({
  name,
  canHandle,
  collections,
  handle,
  upcast,
}: DocumentProjectionOptions<E>): Projection<E> {
  assertName(name, 'name');
  if (typeof handle !== 'function') throw new InvalidArgumentError('handle', 'must be a function.');
  if (!Array.isArray(collections) || collections.length === 0) {
    throw new InvalidArgumentError('collections', 'must be an array of those that the handler writes.');
  }
  const schemas = (collections as DocumentProjectionOptions<E>['collections']).map((given, i) => {
    const schema = typeof given === 'string' ? { name: given } : given;
    return checkCollection({ indexes: [], indexAll: false, ...schema }, `collections[${i}]`);
  });
  return { name, canHandle: checkTypes(canHandle), collections: schemas, handle, upcast };
}
