import { NestboxError } from '@nestbox/core';

/** What a spec says does not hold. `actual` and `expected` are there for test runners that show them. */
export class SpecFailedError extends NestboxError {
  readonly code = 'SPEC_FAILED';

  constructor(
    message: string,
    readonly actual?: unknown,
    readonly expected?: unknown,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
