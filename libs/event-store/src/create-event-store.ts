import { InvalidArgumentError } from '@nestbox/core';
import type { PostgresSource } from '@nestbox/postgres';
import type { Consumer } from './consumers/consumer.js';
import type { ConsumerOptions, ProjectorOptions, ReactorOptions } from './consumers/consumer.types.js';
import type { EventStoreBackend } from './event-store.backend.js';
import { EventStore } from './event-store.js';
import type { EventStoreSettings } from './event-store.types.js';
import type { Event } from './event.types.js';
import { PgEventStoreBackend } from './postgres/pg.event-store-backend.js';

export interface CreateEventStoreOptions extends EventStoreSettings {
  /** The schema in PostgreSQL. Default: `event_store`. */
  schema?: string | undefined;
  /** Creates and upgrades the schema at start; false only checks it. Default: true. */
  migrate?: boolean | undefined;
}

/**
 * Makes an event store without Nest. It connects when it is first used; close it when done.
 *
 * @param source a URL or options (the connection is the store's own), or a postgres.js client, a `Postgres` or a
 *   backend of yours (which stays open)
 * @throws InvalidArgumentError
 */
export function createEventStore(
  source: PostgresSource | EventStoreBackend,
  { schema, migrate, ...settings }: CreateEventStoreOptions = {},
): EventStore {
  if (!isBackend(source))
    return new EventStore(new PgEventStoreBackend(source, { schema, migrate }), settings);
  if (schema === undefined && migrate === undefined) return new EventStore(source, settings);
  throw new InvalidArgumentError(
    schema === undefined ? 'migrate' : 'schema',
    'is for PostgreSQL; give it to the backend.',
  );
}

/** Told by its methods: an application may have two copies of the package. */
export function isBackend(source: unknown): source is EventStoreBackend {
  if (typeof source !== 'object' || source === null) return false;
  return ['init', 'close', 'append', 'readStream', 'readLog'].every(
    (method) => typeof Reflect.get(source, method) === 'function',
  );
}

/** A projector or a reactor for {@link createConsumer}. */
export type ProcessorDefinition =
  | { readonly kind: 'projector'; readonly options: ProjectorOptions }
  | { readonly kind: 'reactor'; readonly options: ReactorOptions };

/** A projection that a consumer shall run. */
export function projector<E extends Event>(options: ProjectorOptions<E>): ProcessorDefinition {
  return { kind: 'projector', options };
}

/** A handler that a consumer shall call. */
export function reactor<E extends Event>(options: ReactorOptions<E>): ProcessorDefinition {
  return { kind: 'reactor', options };
}

/** Options of a consumer that stands alone, without an event store beside it. */
export interface CreateConsumerOptions
  extends ConsumerOptions, Pick<CreateEventStoreOptions, 'schema' | 'migrate' | 'codec' | 'upcast'> {
  /** Made by {@link projector} and {@link reactor}. */
  processors?: readonly ProcessorDefinition[];
}

/** A consumer with a store of its own. */
export interface StandaloneConsumer extends Consumer {
  /** Stops the consumer, and closes what it has opened. May be called twice. */
  close(): Promise<void>;
}

/**
 * Makes a consumer without Nest and without a store.
 *
 * @param source as for {@link createEventStore}
 * @throws InvalidArgumentError
 */
export function createConsumer(
  source: PostgresSource | EventStoreBackend,
  { processors = [], schema, migrate, codec, upcast, ...options }: CreateConsumerOptions = {},
): StandaloneConsumer {
  const store = createEventStore(source, { schema, migrate, codec, upcast });
  const consumer = store.consumer(options);
  for (const definition of processors) {
    if (definition.kind === 'projector') consumer.projector(definition.options);
    else consumer.reactor(definition.options);
  }
  return Object.assign(consumer, { close: () => store.close() });
}
