import { compareUtf8 } from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import type { EventStoreBackend } from '../event-store.backend.js';
import { DEFAULT_PARTITION, STREAM_DELETED, type ReadEvent } from '../event.types.js';
import { applyDocuments, hasPlan, inProjection } from './apply-documents.js';
import { TransactionContext, type Target } from './projection-context.js';
import type { Projection } from './projection.types.js';

/** Runs inline projections in the ambient transaction, in one order for everybody, since they lock what they write. */
export async function runProjections(
  backend: EventStoreBackend,
  codec: Codec | undefined,
  projections: readonly Projection[],
  events: readonly ReadEvent[],
): Promise<void> {
  for (const projection of [...projections].sort(byLocks)) {
    await runProjection(backend, codec, projection, events);
  }
}

/**
 * Runs a projection on events, in the ambient transaction.
 *
 * @throws ProjectionFailedError for what the projection's code throws; the backend's own errors
 */
export async function runProjection(
  backend: EventStoreBackend,
  codec: Codec | undefined,
  projection: Projection,
  events: readonly ReadEvent[],
  target: Target = 'current',
): Promise<void> {
  const wanted = await inProjection(projection, async () => wantedBy(projection, events));
  if (wanted.length === 0) return;
  if (hasPlan(projection)) return applyDocuments(backend, codec, projection, wanted, { target });
  await inProjection(projection, async () => {
    for (const [partition, some] of byPartition(wanted)) {
      await projection.handle(some, new TransactionContext(backend, codec, projection, partition, target));
    }
  });
}

/** Creates what a projection needs. May be called by many instances at once, and again. */
export async function initProjection(
  backend: EventStoreBackend,
  codec: Codec | undefined,
  projection: Projection,
  target: Target = 'current',
): Promise<void> {
  for (const schema of projection.collections ?? []) {
    const name = target === 'shadow' ? backend.documents.shadowName(schema.name) : schema.name;
    await backend.documents.ensure({ ...schema, name });
  }
  if (projection.init === undefined) return;
  const context = new TransactionContext(backend, codec, projection, DEFAULT_PARTITION, target);
  await inProjection(projection, () =>
    backend.transaction(async () => {
      // `create … if not exists` of two instances at once fails in one of them.
      await backend.documents.freeze([]);
      await projection.init?.(context);
    }),
  );
}

/** The types that a projection needs of the log; undefined for all, as when a later upcast decides on the type. */
export function storedTypesOf(projection: Projection, isUpcast: boolean): readonly string[] | undefined {
  return isUpcast || projection.upcast !== undefined ? undefined : projection.canHandle;
}

/** Whether it asks for the message that takes the place of a deleted stream. */
export function wantsDeleted({ canHandle = [] }: { canHandle?: readonly string[] | undefined }): boolean {
  return canHandle.includes(STREAM_DELETED);
}

/** The events that a projection gets of some, as it sees them. */
export function wantedBy(
  { canHandle, upcast }: Projection,
  events: readonly ReadEvent[],
): readonly ReadEvent[] {
  const current = upcast === undefined ? events : events.flatMap((event) => upcast(event));
  return canHandle === undefined ? current : current.filter(({ type }) => canHandle.includes(type));
}

/** The events of each partition, still in order. */
function byPartition(events: readonly ReadEvent[]): Map<string, ReadEvent[]> {
  const groups = new Map<string, ReadEvent[]>();
  for (const event of events) {
    const { partition } = event.metadata;
    const group = groups.get(partition);
    if (group === undefined) groups.set(partition, [event]);
    else group.push(event);
  }
  return groups;
}

/** Documents first, by collection; then handlers, by name. */
export function byLocks(a: Projection, b: Projection): number {
  const handlersLast = Number(a.plan === undefined) - Number(b.plan === undefined);
  return handlersLast || compareUtf8(a.plan?.collection.name ?? a.name, b.plan?.collection.name ?? b.name);
}
