import { createEventStore, type EventStore, type EventStoreSettings } from '@nestbox/event-store';
import type { CommandContext } from '../../command/context.js';
import { withSchema } from '../../connections/required-schema.js';

/** Opens the event store. It creates nothing. */
export async function openEvents(
  context: CommandContext,
  options: { readonly schema?: string | undefined },
  settings: EventStoreSettings = {},
): Promise<EventStore> {
  const schema = options.schema ?? context.config.events?.schema;
  const postgres = await context.connections.postgres();
  const store = createEventStore(postgres, { ...settings, schema, migrate: false });
  context.connections.onClose(() => store.close());
  await withSchema(() => store.init(), { schema });
  return store;
}

/** The partition that is meant. Undefined is the store's default. */
export function partitionOf(
  context: CommandContext,
  { partition }: { readonly partition?: string | undefined },
): string | undefined {
  return partition ?? context.config.events?.partition;
}
