import { NestboxError, messageOf } from '@nestbox/core';

/** The backend failed; the message has its reason and `cause` its error. */
export class EventHubOperationError extends NestboxError {
  readonly code = 'EVENT_HUB_OPERATION_FAILED';

  /** @param operation as in `Failed to <operation>: …`, such as `subscribe channel "a" to topic "t"` */
  constructor(
    readonly operation: string,
    cause: unknown,
    readonly topic?: string,
  ) {
    super(`Failed to ${operation}: ${messageOf(cause)}`, { cause });
  }
}
