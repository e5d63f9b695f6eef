import type { Event } from '../event.types.js';

/**
 * Applies an up- or downcast in the place where Emmett has it. What the result does not say stays as it was, such as the
 * metadata of an event that is returned as `{ type, data }`.
 */
export function recast<E extends Event>(event: E, cast: (event: never) => Event): E {
  const changed = cast(event as never);
  if (changed === event) return event;
  const metadata = { ...event.metadata, ...changed.metadata };
  const hasMetadata = event.metadata !== undefined || changed.metadata !== undefined;
  return { ...event, ...changed, ...(hasMetadata && { metadata }) };
}
