import { NestboxError } from '@nestbox/core';

/** A server, container or child process for tests did not come up or did not do what was asked. */
export class TestServerError extends NestboxError {
  readonly code = 'TEST_SERVER';
}
