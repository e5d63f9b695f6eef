import { ClosedError, InvalidArgumentError, OverloadedError, UnsupportedOperationError } from '@nestbox/core';
import {
  DuplicateMessageError,
  EventStoreOperationError,
  ExpectedVersionConflictError,
  NotFoundError,
  PartitionNotFoundError,
  ProcessorFailedError,
  ProjectionFailedError,
  RebuildInProgressError,
  StreamArchivedError,
  StreamDeletedError,
} from '../event-store.errors.js';

/** Errors that say all there is to say. */
const PLAIN = [
  ClosedError,
  InvalidArgumentError,
  OverloadedError,
  UnsupportedOperationError,
  DuplicateMessageError,
  EventStoreOperationError,
  ExpectedVersionConflictError,
  NotFoundError,
  PartitionNotFoundError,
  ProcessorFailedError,
  ProjectionFailedError,
  RebuildInProgressError,
  StreamArchivedError,
  StreamDeletedError,
];

/** Names the operation in the errors of the backend. */
export async function operation<R>(name: string, fn: () => Promise<R>, streamName?: string): Promise<R> {
  try {
    return await fn();
  } catch (error) {
    if (PLAIN.some((type) => error instanceof type)) throw error;
    throw new EventStoreOperationError(name, error, streamName);
  }
}
