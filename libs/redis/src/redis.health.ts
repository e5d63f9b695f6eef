import { messageOf, parseDuration, type Duration } from '@nestbox/core';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { MissingDriverError } from './redis.errors.js';
import { checkHealth } from './redis.health-check.js';
import type { Redis } from './redis.js';
import { getRedisToken } from './redis.tokens.js';

export interface RedisHealthOptions {
  /** The name given to `RedisModule.forRoot`, for a named connection. */
  name?: string;
  /** How long Redis may take before it counts as down. Default: 1 s. */
  timeout?: Duration;
}

/**
 * Reports Redis to Terminus after a real round trip: `up` with `latencyMs`, `mode` and `role`; `degraded` when a part
 * of a cluster does not answer, or writes are refused; `down` with a message. It answers within the timeout also when
 * Redis hangs.
 */
@Injectable()
export class RedisHealthIndicator {
  constructor(@Inject(ModuleRef) private readonly moduleRef: ModuleRef) {}

  /**
   * @param key what to call Redis in the report
   * @throws MissingDriverError when @nestjs/terminus is not installed
   */
  async isHealthy<const Key extends string = 'redis'>(
    key: Key = 'redis' as Key,
    { name, timeout = 1000 }: RedisHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const timeoutMs = parseDuration(timeout, 'timeout');
    const { HealthIndicatorService } = await loadTerminus();
    const indicator = new HealthIndicatorService().check(key);
    const redis: Redis = this.moduleRef.get(getRedisToken(name), { strict: false });
    try {
      const { problem, figures } = await checkHealth(redis, timeoutMs);
      if (problem === undefined) return indicator.up(figures);
      const data = { message: `Redis (${redis.server}) ${problem}.`, ...figures };
      // Terminus 11 knows no `degraded`.
      return 'degraded' in indicator ? indicator.degraded(data) : up(indicator, data);
    } catch (error) {
      return indicator.down({ message: messageOf(error) });
    }
  }
}

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
