import {
  createEventStore,
  MemoryEventStoreBackend,
  type Collection,
  type Event,
  type EventStore,
  type EventStoreSettings,
  type Projection,
  type ReadEvent,
} from '@nestbox/event-store';
import { randomBytes, randomUUID } from 'node:crypto';
import type { StreamEvents } from './events-in-stream.js';
import { SpecFailedError } from './spec.errors.js';

/** The projection that is specified, and where it runs. */
export interface ProjectionSpecOptions<E extends Event = Event> extends Pick<
  EventStoreSettings,
  'codec' | 'upcast'
> {
  projection: Projection<E>;
  /**
   * Where it runs: a connection string, a client of postgres.js or a `Postgres`, in a schema that is made for each
   * `then` and dropped behind it; or a backend, which is used as it is. Default: one in memory, which knows no SQL.
   */
  source?: Parameters<typeof createEventStore>[0];
}

/** What a check gets to look at. */
export interface ProjectionOutcome {
  /** The store, with all events in it. */
  readonly eventStore: EventStore;
  /** @param name of the collection; may be left out where the projection has one only */
  collection<T extends object = Record<string, unknown>>(name?: string): Collection<T>;
  /** Runs a statement; `$1`, `$2`… stand for the parameters. Not in memory. */
  query(text: string, params?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** The quoted name of one of the projection's tables in the store's schema. */
  table(name: string): string;
}

/** A projection in a store. */
interface ProjectionRun {
  append(streams: readonly StreamEvents[]): Promise<void>;
  readonly outcome: ProjectionOutcome;
}

/** Opens a store with the projection for `fn`, and leaves nothing behind. */
export async function withProjection<E extends Event>(
  { projection, source = new MemoryEventStoreBackend(), codec, upcast }: ProjectionSpecOptions<E>,
  fn: (run: ProjectionRun) => Promise<void>,
): Promise<void> {
  const dates = new Map<string, Date>();
  const schema = `spec_${randomBytes(8).toString('hex')}`;
  const eventStore = createEventStore(source, {
    ...(!isBackend(source) && { schema, migrate: true }),
    projections: [{ type: 'inline', projection }],
    codec,
    upcast: (event) => {
      const dated = withDate(event, dates.get(event.metadata.messageId));
      return upcast === undefined ? dated : upcast(dated);
    },
  });
  const cleanUp = async (): Promise<void> => {
    try {
      if (!isBackend(source)) await dropSchema(eventStore, schema);
    } finally {
      await eventStore.close();
    }
  };
  try {
    await eventStore.init();
    await fn({
      append: async (streams) => {
        for (const { streamName, events } of streams) {
          await eventStore.appendToStream(
            streamName,
            events.map((event) => identified(event, dates)),
          );
        }
      },
      outcome: outcomeOf(eventStore, projection),
    });
  } catch (error) {
    // What went wrong first says more than what goes wrong with it.
    await cleanUp().catch(() => undefined);
    throw error;
  }
  await cleanUp();
}

function outcomeOf(
  eventStore: EventStore,
  projection: Pick<Projection, 'name' | 'collections'>,
): ProjectionOutcome {
  return {
    eventStore,
    collection: (name) => eventStore.collection(name ?? onlyCollectionOf(projection)),
    query: (text, params) => query(eventStore, text, params),
    table: (name) => eventStore.backend.documents.quoted(name),
  };
}

function onlyCollectionOf({ name, collections = [] }: Pick<Projection, 'name' | 'collections'>): string {
  const names = collections.map((collection) => collection.name);
  if (names.length === 1) return names[0]!;
  throw new SpecFailedError(
    names.length === 0
      ? `Projection "${name}" has no collection. Check what it writes by query().`
      : `Projection "${name}" has several collections: ${names.join(', ')}. Say which.`,
  );
}

async function dropSchema({ backend }: EventStore, schema: string): Promise<void> {
  await backend.transaction(async () => {
    // Or a client of the caller's prints what is dropped.
    await backend.run('set local client_min_messages = warning');
    await backend.run(`drop schema if exists "${schema}" cascade`);
  });
}

function query(
  { backend }: EventStore,
  text: string,
  params?: readonly unknown[],
): Promise<Record<string, unknown>[]> {
  return backend.transaction(() => backend.run(text, params));
}

/** The store sets the date itself, so that another one can only be given when the event is read. */
function identified(event: Event, dates: Map<string, Date>): Event {
  const { createdAt, messageId } = (event.metadata ?? {}) as Partial<ReadEvent['metadata']>;
  if (createdAt === undefined) return event;
  const id = event.messageId ?? messageId ?? randomUUID();
  dates.set(id, createdAt);
  return { ...event, messageId: id };
}

function withDate(event: ReadEvent, createdAt: Date | undefined): ReadEvent {
  return createdAt === undefined ? event : { ...event, metadata: { ...event.metadata, createdAt } };
}

function isBackend(source: unknown): boolean {
  return typeof source === 'object' && source !== null && 'kind' in source && 'readLog' in source;
}
