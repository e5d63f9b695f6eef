import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { messageOf, parseDuration, type Duration } from '@nestbox/core';
import { MissingDriverError } from './postgres.errors.js';
import type { Postgres } from './postgres.js';
import { getPostgresToken } from './postgres.tokens.js';

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
   * @throws MissingDriverError when @nestjs/terminus is not installed
   */
  async isHealthy<const Key extends string = 'postgres'>(
    key: Key = 'postgres' as Key,
    { name, timeout = 1000 }: PostgresHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const timeoutMs = parseDuration(timeout, 'timeout');
    const { HealthIndicatorService } = await loadTerminus();
    const indicator = new HealthIndicatorService().check(key);
    const postgres: Postgres = this.moduleRef.get(getPostgresToken(name), { strict: false });
    let latencyMs: number;
    try {
      latencyMs = round(await postgres.ping(timeoutMs));
    } catch (error) {
      return indicator.down({ message: messageOf(error) });
    }
    const { status, since, reason } = postgres.listening;
    const ageMs = Date.now() - since.getTime();
    const figures = {
      latencyMs,
      pool: postgres.poolFigures,
      listen: { status, ageMs, ...(reason && { reason }) },
    };
    const isDown = status === 'reconnecting' && ageMs > LISTEN_GRACE_MS;
    if (!isDown) return indicator.up(figures);
    const data = { message: `LISTEN is down: ${reason ?? 'not connected yet'}`, ...figures };
    // Terminus 11 knows no `degraded`.
    return 'degraded' in indicator ? indicator.degraded(data) : up(indicator, data);
  }
}

/** To open the LISTEN connection takes a moment. */
const LISTEN_GRACE_MS = 2_000;

function up<Result>(
  indicator: { up(data: Record<string, unknown>): Result },
  data: Record<string, unknown>,
): Result {
  return indicator.up(data);
}

/** Terminus is optional: loaded when the first check is made, not with this module. */
async function loadTerminus(): Promise<typeof import('@nestjs/terminus')> {
  try {
    return await import('@nestjs/terminus');
  } catch (error) {
    throw new MissingDriverError('@nestjs/terminus', 'npm install @nestjs/terminus', { cause: error });
  }
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
