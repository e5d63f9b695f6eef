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
 * Reports a database to Terminus after a real round trip: `up` with `latencyMs` and the pool's figures, `down` with a
 * message. It answers within the timeout also when the server hangs.
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
    try {
      const latencyMs = await postgres.ping(timeoutMs);
      return indicator.up({ latencyMs: round(latencyMs), pool: postgres.poolFigures });
    } catch (error) {
      return indicator.down({ message: messageOf(error) });
    }
  }
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
