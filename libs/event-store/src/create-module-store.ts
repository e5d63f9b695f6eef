import { InvalidArgumentError } from '@nestbox/core';
import { findConnection } from '@nestbox/nest';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import type { ModuleRef } from '@nestjs/core';
import { createEventStore, isBackend } from './create-event-store.js';
import type { EventStore } from './event-store.js';
import type { EventStoreModuleOptions } from './event-store.module.options.js';
import { MemoryEventStoreBackend } from './memory/memory.event-store-backend.js';

/** The connection of that name, as far as the application has it. */
export interface Known {
  connection: string | undefined;
  postgres: Postgres | undefined;
}

/** The store that the options ask for. */
export function createModuleStore(
  options: EventStoreModuleOptions,
  known: Known,
  moduleRef: ModuleRef,
): EventStore {
  const { store = 'postgres', connection, projections, codec, upcast, categoryOf, maxEventBytes } = options;
  const settings = { projections, codec, upcast, categoryOf, maxEventBytes };
  switch (store) {
    case 'memory':
      return createEventStore(new MemoryEventStoreBackend(), settings);
    case 'postgres': {
      const { schema, migrate } = options;
      const postgres =
        known.postgres ??
        findConnection(moduleRef, getPostgresToken, 'PostgresModule', connection ?? known.connection);
      return createEventStore(postgres, { ...settings, schema, migrate });
    }
    default:
      if (isBackend(store)) return createEventStore(store, settings);
      throw new InvalidArgumentError('store', "must be 'postgres', 'memory', or an EventStoreBackend.");
  }
}
