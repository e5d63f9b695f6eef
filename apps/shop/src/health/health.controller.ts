import { KvHealthIndicator } from '@nestbox/kv';
import { PostgresHealthIndicator } from '@nestbox/postgres';
import { RedisHealthIndicator } from '@nestbox/redis';
import { Controller, Get, HttpException, Inject, Optional, Res } from '@nestjs/common';
import {
  HealthCheckService,
  type HealthIndicatorFunction,
  type HealthIndicatorResult,
} from '@nestjs/terminus';
import type { Response } from 'express';
import { READINESS } from '../tokens.js';
import type { Readiness } from './readiness.js';

@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    @Inject(READINESS) private readonly readiness: Readiness,
    private readonly postgres: PostgresHealthIndicator,
    private readonly kv: KvHealthIndicator,
    @Optional() private readonly redis?: RedisHealthIndicator,
  ) {}

  /** 503 when the database does not answer; the process is alive either way. */
  @Get()
  async check(@Res({ passthrough: true }) response: Response): Promise<object> {
    response.set('Cache-Control', 'no-store');
    const checks: HealthIndicatorFunction[] = [
      () => this.postgres.isHealthy('postgres'),
      () => this.kv.isHealthy('kv'),
    ];
    const { redis } = this;
    if (redis !== undefined) checks.push(async () => withoutRedis(await redis.isHealthy('redis')));
    try {
      return await this.health.check(checks);
    } catch (error) {
      // Terminus throws the report when something is down; it is the answer, not a problem.
      if (!(error instanceof HttpException)) throw error;
      response.status(error.getStatus());
      return error.getResponse() as object;
    }
  }

  /** Whether to send requests here: not while starting, which the gate answers, and not while stopping. */
  @Get('ready')
  ready(@Res({ passthrough: true }) response: Response): { status: string } {
    const { phase } = this.readiness;
    response.status(phase === 'ready' ? 200 : 503).set('Cache-Control', 'no-store');
    return { status: phase };
  }
}

/** Redis holds only a cache, so the shop limps without it, but it is not down. */
function withoutRedis(result: HealthIndicatorResult<'redis'>): HealthIndicatorResult<'redis'> {
  return result.redis.status === 'down' ? { redis: { ...result.redis, status: 'degraded' } } : result;
}
