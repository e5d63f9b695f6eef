import type { Duration } from '@nestbox/core';
import type { EventStoreBackend } from './event-store.backend.js';
import type { EventStoreSettings } from './event-store.types.js';
import type { ProjectionRegistration } from './projections/projection.types.js';

/** How an instance of the application runs its async projections and reactors. */
export interface ModuleConsumerOptions {
  /** One partition, or `*` for all. Default: `*`. */
  partition?: string;
  /** How often to look for events without having been woken, in ms. Default: 1,000. */
  pollMs?: number;
}

export interface EventStoreModuleOptions extends EventStoreSettings {
  /**
   * Projections beside those of `@Projection` classes, with their mode; those without run in the transaction of each
   * append (`inline`), and async ones are run by the module's consumer.
   */
  projections?: readonly ProjectionRegistration[];
  /** Where events are kept: PostgreSQL, this process (for tests), or a backend of your own. Default: `postgres`. */
  store?: 'postgres' | 'memory' | EventStoreBackend;
  /** Name of the PostgresModule whose connection is used. Default: the one without a name. */
  connection?: string;
  /** The schema on PostgreSQL. Default: `event_store`. */
  schema?: string;
  /** Whether tables are created at start; else they are checked. Default: true. */
  migrate?: boolean;
  /**
   * Whether this instance of the application runs the async projections and the reactors. One that does not writes and
   * reads only; inline projections are run by all. Default: true.
   */
  consumers?: boolean | ModuleConsumerOptions;
  /** For how long the start goes on trying; `false` goes on in the background while the application starts. Default: 10 s. */
  startTimeout?: Duration | false;
  /** For how long handlers may go on when the application shuts down. Default: 10 s. */
  drainTimeout?: Duration;
}
