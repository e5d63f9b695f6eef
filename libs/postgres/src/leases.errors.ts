import { NestboxError } from '@nestbox/core';

/** Somebody else holds the lease. */
export class LeaseUnavailableError extends NestboxError {
  readonly code = 'LEASE_UNAVAILABLE';

  constructor(
    /** The name of the lease. */
    readonly lease: string,
    /** Who holds it; undefined while it is changing hands. */
    readonly owner: string | undefined,
    /** For how long it is held unless it is renewed, in ms. */
    readonly remainingMs: number,
  ) {
    super(
      `Lease "${lease}" is held${owner === undefined ? '' : ` by ${owner}`}. ` +
        'Wait for it with the option wait, or try again later.',
    );
  }
}

/** The lease is over: it ran out before it was renewed, or was released. Another may hold it. */
export class LeaseExpiredError extends NestboxError {
  readonly code = 'LEASE_EXPIRED';

  constructor(
    /** The name of the lease. */
    readonly lease: string,
    readonly epoch: bigint,
    options?: { cause?: unknown },
  ) {
    super(
      `Lease "${lease}" (epoch ${epoch}) is over, and another may hold it. Stop the work it protected.`,
      options,
    );
  }
}
