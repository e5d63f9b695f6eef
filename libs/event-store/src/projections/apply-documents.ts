import type { JsonObject } from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import { toData, toDocument } from '../documents/document-codec.js';
import type { DocumentKey, DocumentLock, StoredDocument } from '../documents/document.backend.js';
import type { EventStoreBackend } from '../event-store.backend.js';
import { ProjectionFailedError } from '../event-store.errors.js';
import type { ReadEvent } from '../event.types.js';
import { evolveDocuments, planEvents, type PlannedEvent } from './evolve-documents.js';
import type { Target } from './projection-context.js';
import type { Document, DocumentPlan, Projection } from './projection.types.js';

/** A projection that keeps documents up to date event by event. */
export type PlannedProjection = Projection & { plan: DocumentPlan };

/** Documents that were locked before; undefined for those that are not there. */
export type LockedDocuments = ReadonlyMap<string, StoredDocument | undefined>;

/**
 * Applies events to the documents of a projection in two round trips, however many documents they change: one locks
 * and reads them all, in an order that is the same for everybody, and one writes them.
 *
 * @param locked what was locked already; what else is needed is locked now
 * @param atCommit whether nobody reads the documents in this transaction any more
 * @throws ProjectionFailedError for what the projection's code throws; the backend's own errors
 */
export async function applyDocuments(
  backend: EventStoreBackend,
  codec: Codec | undefined,
  projection: PlannedProjection,
  events: readonly ReadEvent[],
  {
    target = 'current',
    locked,
    atCommit,
  }: { target?: Target; locked?: LockedDocuments; atCommit?: boolean } = {},
): Promise<void> {
  const { plan } = projection;
  const planned = ofProjection(projection, () => planEvents(plan, events));
  const keys = keysOf(planned);
  if (keys.size === 0) return;
  const { name } = plan.collection;
  const table = target === 'shadow' ? backend.documents.shadowName(name) : name;

  const found = new Map(locked);
  const missing = [...keys].filter(([key]) => !found.has(key));
  if (missing.length > 0) {
    const wanted = missing.map(([, key]) => key);
    const stored = await backend.documents.lock(table, wanted, plan.isByStream && target === 'current');
    missing.forEach(([key], i) => found.set(key, stored[i]));
  }
  const changes = await inProjection(projection, async () => {
    const documents = new Map<string, Document | null>();
    for (const key of keys.keys()) {
      const stored = found.get(key);
      documents.set(key, stored === undefined ? null : toDocument(stored, codec));
    }
    const changed = await evolveDocuments(plan, planned, keyOf, documents);
    return [...changed].map((key) => {
      const document = documents.get(key)!;
      const data: JsonObject | null = document === null ? null : toData(document, codec);
      return { ...keys.get(key)!, data };
    });
  });
  if (changes.length > 0) await backend.documents.write(table, changes, atCommit);
}

/** The documents that events will change, for who locks them ahead. */
export function lockOf(
  { plan }: PlannedProjection,
  events: readonly ReadEvent[],
): DocumentLock & { ids: string[] } {
  const keys = keysOf(planEvents(plan, events));
  return {
    table: plan.collection.name,
    keys: [...keys.values()],
    ids: [...keys.keys()],
    isOwned: plan.isByStream,
  };
}

export function hasPlan(projection: Projection): projection is PlannedProjection {
  return projection.plan !== undefined;
}

function keysOf(planned: readonly PlannedEvent[]): Map<string, DocumentKey> {
  const keys = new Map<string, DocumentKey>();
  for (const { event, ids } of planned) {
    for (const id of ids) keys.set(keyOf(event, id), { partition: event.metadata.partition, id });
  }
  return keys;
}

function keyOf({ metadata }: ReadEvent, id: string): string {
  return `${metadata.partition}\0${id}`;
}

function ofProjection<R>({ name }: Projection, fn: () => R): R {
  try {
    return fn();
  } catch (error) {
    throw new ProjectionFailedError(name, error);
  }
}

/** Runs code of the projection. */
export async function inProjection<R>({ name }: Projection, fn: () => Promise<R>): Promise<R> {
  try {
    return await fn();
  } catch (error) {
    throw new ProjectionFailedError(name, error);
  }
}
