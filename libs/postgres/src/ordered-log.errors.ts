import { NestboxError } from '@nestbox/core';

/** An ordered log cannot keep its promise as it is set up or used; the message says what to change. */
export class OrderedLogError extends NestboxError {
  readonly code = 'ORDERED_LOG';

  constructor(
    /** The quoted name of the log's sequence. */
    readonly sequence: string,
    readonly problem: string,
  ) {
    super(`The log of sequence ${sequence} cannot be read: ${problem}`);
  }
}
