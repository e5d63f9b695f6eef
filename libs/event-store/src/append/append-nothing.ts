import type { AppendRequest, EventStoreBackend } from '../event-store.backend.js';
import { ExpectedVersionConflictError } from '../event-store.errors.js';
import type { AppendToStreamResult } from '../event-store.types.js';
import { versionOf } from '../streams/stream-reader.js';
import { meetsExpectation } from '../support/arguments.js';

/**
 * What the caller hears when there are no events to append: how the stream is.
 *
 * @throws ExpectedVersionConflictError
 */
export async function appendNothing(
  backend: EventStoreBackend,
  { partition, streamName, expected }: AppendRequest,
): Promise<AppendToStreamResult> {
  const { position, ...stream } = await backend.streamState(partition, streamName);
  const current = versionOf(stream);
  if (!meetsExpectation(current, expected)) {
    throw new ExpectedVersionConflictError(streamName, current, expected);
  }
  return { nextExpectedStreamVersion: current, createdNewStream: false, lastEventGlobalPosition: position };
}
