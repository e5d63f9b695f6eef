import { NestboxError, messageOf } from '@nestbox/core';

/** There is no channel of that id: it was never added, was removed, or belonged to an instance that died. */
export class ChannelNotFoundError extends NestboxError {
  readonly code = 'CHANNEL_NOT_FOUND';

  constructor(readonly channelId: string) {
    super(`Channel not found: ${channelId}`);
  }
}

/** The backend failed; the message has its reason and `cause` its error. */
export class ChannelOperationError extends NestboxError {
  readonly code = 'CHANNEL_OPERATION_FAILED';

  /** @param operation as in `Failed to <operation>: …`, such as `add channel "a"` */
  constructor(
    readonly operation: string,
    cause: unknown,
    readonly channelId?: string,
  ) {
    super(`Failed to ${operation}: ${messageOf(cause)}`, { cause });
  }
}

/** A message is larger than the limit. Nothing of it was sent. */
export class PayloadTooLargeError extends NestboxError {
  readonly code = 'PAYLOAD_TOO_LARGE';

  /**
   * @param target whom it was for, such as `topic "orders"` or `channel "a"`
   * @param bytes its size as it would be sent
   * @param limit the `maxPayload` in bytes
   */
  constructor(
    readonly target: string,
    readonly bytes: number,
    readonly limit: number,
  ) {
    super(
      `A message to ${target} has ${bytes} bytes, and at most ${limit} are allowed. Send less, or raise maxPayload.`,
    );
  }
}

/** Other instances could not be reached, so that what was to be sent to them was not. */
export class BackplaneError extends NestboxError {
  readonly code = 'BACKPLANE_FAILED';

  /** @param operation as in `Failed to <operation>: …`, such as `publish to topic "orders"` */
  constructor(
    readonly operation: string,
    cause: unknown,
  ) {
    super(`Failed to ${operation}: ${messageOf(cause)}`, { cause });
  }
}
