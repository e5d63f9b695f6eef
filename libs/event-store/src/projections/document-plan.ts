import { InvalidArgumentError, assertName } from '@nestbox/core';
import { assertCollectionName } from '../documents/collection-name.js';
import type { CollectionSchema } from '../documents/document.backend.js';
import { parsePath } from '../documents/filter.js';
import type { Event, ReadEvent, Upcast } from '../event.types.js';
import { evolveDocuments, planEvents } from './evolve-documents.js';
import type { Document, DocumentPlan, Projection, ProjectionContext } from './projection.types.js';

/** What the projections have in common that keep documents up to date event by event. */
export interface EvolvingProjectionOptions<Doc extends Document, E extends Event> {
  /** Default: the collection's. */
  name?: string;
  /** The table of the documents; a name of at most 63 bytes. */
  collectionName: string;
  /** The types of the events that it gets. Default: all. */
  canHandle?: readonly E['type'][] | undefined;
  /** The document after the event; null deletes it. It gets null, or the initial state, where there is none yet. */
  evolve(document: Doc | null, event: ReadEvent<E>): Doc | null | Promise<Doc | null>;
  /** What a document begins with. Default: null. */
  initialState?: (() => Doc) | undefined;
  /** Paths such as `status` or `customer.city` that get an index of their own. */
  indexes?: readonly string[] | undefined;
  /** Whether any containment is indexed (GIN). Default: false. */
  indexAll?: boolean | undefined;
  /** Above 1, projection and collection are called `<name>_v<version>`: a new one beside the old. Default: 1. */
  version?: number | undefined;
  /** How events look today; after the store's own. */
  upcast?: Upcast | undefined;
}

/** @throws InvalidArgumentError */
export function evolvingProjection<Doc extends Document, E extends Event>(
  options: EvolvingProjectionOptions<Doc, E>,
  idsOf: (event: ReadEvent<E>) => readonly string[],
  isByStream: boolean,
): Projection<E> {
  const { collectionName, name = collectionName, canHandle, initialState, upcast, version = 1 } = options;
  if (typeof options.evolve !== 'function') throw new InvalidArgumentError('evolve', 'must be a function.');
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new InvalidArgumentError('version', `${String(version)} must be a whole number of at least 1.`);
  }
  assertName(collectionName, 'collectionName');
  const suffix = version === 1 ? '' : `_v${version}`;
  const collection = checkCollection(
    { name: collectionName + suffix, indexes: options.indexes ?? [], indexAll: options.indexAll ?? false },
    'collectionName',
  );
  const plan: DocumentPlan = {
    collection,
    isByStream,
    idsOf: (event) => idsOf(event as ReadEvent<E>),
    evolve: (document, event) =>
      options.evolve((document ?? initialState?.() ?? null) as Doc | null, event as ReadEvent<E>),
  };
  assertName(name, 'name');
  return {
    name: name + suffix,
    canHandle: checkTypes(canHandle),
    collections: [collection],
    upcast,
    plan,
    handle: (events, context) => applyToCollection(plan, events, context),
  };
}

/** For those who call the handler themselves; the store applies events in batches. */
async function applyToCollection(
  plan: DocumentPlan,
  events: readonly ReadEvent[],
  context: ProjectionContext,
): Promise<void> {
  const collection = context.collection(plan.collection.name);
  const planned = planEvents(plan, events);
  const ids = [...new Set(planned.flatMap((each) => each.ids))];
  const found = await collection.getMany(ids);
  const documents = new Map(ids.map((id, i) => [id, found[i] ?? null]));
  const changed = await evolveDocuments(plan, planned, (_, id) => id, documents);
  for (const id of changed) {
    const document = documents.get(id) ?? null;
    await (document === null ? collection.delete(id) : collection.set(id, document));
  }
}

/** @throws InvalidArgumentError */
export function checkCollection(schema: CollectionSchema, path: string): CollectionSchema {
  assertCollectionName(schema.name, path);
  for (const [i, index] of schema.indexes.entries()) parsePath(index, `indexes[${i}]`);
  return schema;
}

/** @throws InvalidArgumentError */
export function checkTypes<T extends readonly string[] | undefined>(types: T, path = 'canHandle'): T {
  if (types === undefined) return types;
  if (!Array.isArray(types) || types.length === 0) {
    throw new InvalidArgumentError(path, 'must be an array of event types; leave it out for all of them.');
  }
  for (const [i, type] of types.entries()) assertName(type, `${path}[${i}]`);
  return types;
}
