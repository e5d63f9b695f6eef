import type { Duration } from '@nestbox/core';
import { reportHealth } from '@nestbox/nest';
import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { checkHealth } from './redis.health-check.js';
import type { Redis } from './redis.js';
import { getRedisToken } from './redis.tokens.js';

/** Of one check of Redis. */
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
   * @throws UnsupportedOperationError when @nestjs/terminus is not installed
   */
  async isHealthy<const Key extends string = 'redis'>(
    key: Key = 'redis' as Key,
    { name, timeout }: RedisHealthOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    const redis: Redis = this.moduleRef.get(getRedisToken(name), { strict: false });
    return reportHealth({
      key,
      what: `Redis (${redis.server})`,
      timeout,
      probe: async (timeoutMs) => {
        const { problem, figures } = await checkHealth(redis, timeoutMs);
        return { problem: problem && `Redis (${redis.server}) ${problem}.`, figures };
      },
    });
  }
}
