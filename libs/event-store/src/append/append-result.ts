import type { AppendOutcome, AppendRequest } from '../event-store.backend.js';
import {
  DuplicateMessageError,
  ExpectedVersionConflictError,
  StreamArchivedError,
  StreamDeletedError,
} from '../event-store.errors.js';
import type { AppendToStreamResult } from '../event-store.types.js';

/** What the caller hears of an append. */
export function appendResult(
  { streamName, expected, messages }: AppendRequest,
  outcome: AppendOutcome,
): AppendToStreamResult {
  switch (outcome.kind) {
    case 'appended':
      return {
        nextExpectedStreamVersion: outcome.version,
        createdNewStream: outcome.version === BigInt(messages.length),
        lastEventGlobalPosition: outcome.positions.at(-1)!,
      };
    case 'repeated':
      return {
        nextExpectedStreamVersion: outcome.version,
        createdNewStream: outcome.version === BigInt(messages.length),
        lastEventGlobalPosition: outcome.position,
      };
    case 'conflict':
      throw new ExpectedVersionConflictError(streamName, outcome.current, expected);
    case 'overlap':
      throw new DuplicateMessageError(streamName, outcome.messageId);
    case 'archived':
      throw new StreamArchivedError(streamName);
    case 'deleted':
      throw new StreamDeletedError(streamName);
  }
}
