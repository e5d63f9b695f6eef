import { NestboxError, messageOf } from '@nestbox/core';
import type { ExpectedStreamVersion } from './event.types.js';

/** The stream is not what the caller expected. Read it again, decide again, append again. */
export class ExpectedVersionConflictError extends NestboxError {
  readonly code = 'EXPECTED_VERSION_CONFLICT';
  /** As HTTP has it: precondition failed. Emmett's command handlers know the conflict by it. */
  readonly errorCode = 412;

  constructor(
    readonly streamName: string,
    /** The stream's true version; 0 for one that is not there. */
    readonly current: bigint,
    readonly expected: ExpectedStreamVersion,
  ) {
    super(
      `Stream "${streamName}" was expected to be at ${describe(expected)}, but is at version ${current}. ` +
        'Read it again and decide anew.',
    );
  }
}

/** Some of the messages of an append are in the stream already, and others are not. */
export class DuplicateMessageError extends NestboxError {
  readonly code = 'DUPLICATE_MESSAGE';

  constructor(
    readonly streamName: string,
    readonly messageId: string,
  ) {
    super(
      `Message "${messageId}" is in stream "${streamName}" already, but others of the same append are not. ` +
        'Append again exactly what was appended before, or give new messages new ids.',
    );
  }
}

/** The stream takes no more events until it is unarchived. */
export class StreamArchivedError extends NestboxError {
  readonly code = 'STREAM_ARCHIVED';

  constructor(readonly streamName: string) {
    super(`Stream "${streamName}" is archived and takes no more events. Call unarchiveStream() first.`);
  }
}

/** The stream was deleted; its name is not used again. */
export class StreamDeletedError extends NestboxError {
  readonly code = 'STREAM_DELETED';

  constructor(readonly streamName: string) {
    super(`Stream "${streamName}" was deleted, and a deleted name is not used again. Choose another.`);
  }
}

export class PartitionNotFoundError extends NestboxError {
  readonly code = 'PARTITION_NOT_FOUND';

  constructor(readonly partition: string) {
    super(`There is no partition "${partition}". Create it by partitions.create("${partition}").`);
  }
}

/** No projection, processor or collection of this name. */
export class NotFoundError extends NestboxError {
  readonly code = 'NOT_FOUND';

  constructor(
    readonly what: 'projection' | 'processor' | 'collection' | 'parked message',
    readonly id: string,
    advice: string,
  ) {
    super(`There is no ${what} "${id}". ${advice}`);
  }
}

/** What a projection's code threw; `cause` has it. The append, or the batch, took no effect. */
export class ProjectionFailedError extends NestboxError {
  readonly code = 'PROJECTION_FAILED';

  constructor(
    readonly projection: string,
    cause: unknown,
  ) {
    super(`Projection "${projection}" failed: ${messageOf(cause)}`, { cause });
  }
}

/** The processor has failed and stands still until it is resumed. */
export class ProcessorFailedError extends NestboxError {
  readonly code = 'PROCESSOR_FAILED';

  constructor(
    readonly processorId: string,
    /** What it failed at. */
    readonly problem: string,
  ) {
    super(
      `Processor "${processorId}" has failed: ${problem}. Mend it, then call processors.resume("${processorId}").`,
    );
  }
}

/** Another instance is rebuilding the projection. */
export class RebuildInProgressError extends NestboxError {
  readonly code = 'REBUILD_IN_PROGRESS';

  constructor(readonly projection: string) {
    super(`Projection "${projection}" is being rebuilt already. Wait until that is done.`);
  }
}

/** The backend failed; the message has its reason and `cause` its error. */
export class EventStoreOperationError extends NestboxError {
  readonly code = 'EVENT_STORE_OPERATION_FAILED';

  /** @param operation as in `Failed to <operation>: …`, such as `append to stream "cart-1"` */
  constructor(
    readonly operation: string,
    cause: unknown,
    readonly streamName?: string,
  ) {
    super(`Failed to ${operation}: ${messageOf(cause)}`, { cause });
  }
}

function describe(expected: ExpectedStreamVersion): string {
  switch (expected) {
    case 'STREAM_EXISTS':
      return 'any version above 0 (STREAM_EXISTS)';
    case 'STREAM_DOES_NOT_EXIST':
      return 'no version (STREAM_DOES_NOT_EXIST)';
    case 'NO_CONCURRENCY_CHECK':
      return 'any version';
    default:
      return `version ${expected}`;
  }
}
