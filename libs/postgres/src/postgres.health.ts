import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import type { Duration } from '@nestbox/core';
import { reportHealth } from '@nestbox/nest';
import type { Postgres } from './postgres.js';
import { getPostgresToken } from './postgres.tokens.js';

/** Of one check of the database. */
export interface PostgresHealthOptions {
  /** The name given to `PostgresModule.forRoot`, for a named database. */
  name?: string;
  /** How long a round trip may take before the database counts as down. Default: 1 s. */
  timeout?: Duration;
}

/**
 * Reports a database to Terminus after a real round trip: `up` with `latencyMs` and the figures of the pool and of the
 * LISTEN connection; `degraded` when that has been down for 2 seconds, since others are then heard by polling only;
 * `down` with a message. It answers within the timeout also when the server hangs.
 */
@Injectable()
export class PostgresHealthIndicator {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /**
   * @param key what to call the database in the report
   * @throws UnsupportedOperationError when @nestjs/terminus is not installed
   */
  async isHealthy<const Key extends string = 'postgres'>(
    key: Key = 'postgres' as Key,
    { name, timeout }: PostgresHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const postgres: Postgres = this.moduleRef.get(getPostgresToken(name), { strict: false });
    return reportHealth({
      key,
      what: 'PostgreSQL',
      timeout,
      probe: async (timeoutMs) => {
        const latencyMs = round(await postgres.ping(timeoutMs));
        const { status, since, reason } = postgres.listening;
        const ageMs = Date.now() - since.getTime();
        const isDown = status === 'reconnecting' && ageMs > LISTEN_GRACE_MS;
        return {
          problem: isDown ? `LISTEN is down: ${reason ?? 'not connected yet'}` : undefined,
          figures: {
            latencyMs,
            pool: postgres.poolFigures,
            listen: { status, ageMs, ...(reason && { reason }) },
          },
        };
      },
    });
  }
}

/** To open the LISTEN connection takes a moment. */
const LISTEN_GRACE_MS = 2_000;

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
