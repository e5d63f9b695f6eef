import type { EventStore } from '@nestbox/event-store';
import type { CommandContext } from '../../command/context.js';
import { NothingFoundError } from '../../command.errors.js';
import { openEvents } from '../events/open-events.js';
import type { ProcessorOptions } from './projections-options.js';

/**
 * Opens the event store for an order to a processor.
 *
 * @throws NothingFoundError when it was never started
 */
export async function openProcessor(
  context: CommandContext,
  processor: string,
  options: ProcessorOptions,
): Promise<EventStore> {
  const store = await openEvents(context, options);
  const { partition } = options;
  if ((await store.processors.get(processor, { partition })) !== undefined) return store;
  const place = partition === undefined ? '' : ` of partition ${JSON.stringify(partition)}`;
  throw new NothingFoundError(
    `There is no processor ${JSON.stringify(processor)}${place}; nestbox projections list shows all that were ever started.`,
  );
}
