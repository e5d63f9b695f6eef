import { ChannelHealthIndicator } from '@nestbox/channels';
import { EventHubHealthIndicator } from '@nestbox/event-hub';
import { EventStoreHealthIndicator } from '@nestbox/event-store';
import { KvHealthIndicator } from '@nestbox/kv';
import { PostgresHealthIndicator } from '@nestbox/postgres';
import { RedisHealthIndicator } from '@nestbox/redis';
import { WorkflowHealthIndicator } from '@nestbox/workflows';
import { Controller, Get, HttpException, Inject, Optional, Res } from '@nestjs/common';
import {
  HealthCheckService,
  type HealthIndicatorFunction,
  type HealthIndicatorResult,
  TypeOrmHealthIndicator,
} from '@nestjs/terminus';
import type { Response } from 'express';
import { READINESS } from '../tokens.js';
import type { Readiness } from './readiness.js';
import { Answers } from '../openapi/answers.js';
import { aliveView, healthView, phaseView } from '../openapi/views.js';

/** As long as the others wait. */
const PING_TIMEOUT_MS = 1000;

@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    @Inject(READINESS) private readonly readiness: Readiness,
    private readonly postgres: PostgresHealthIndicator,
    private readonly typeorm: TypeOrmHealthIndicator,
    private readonly kv: KvHealthIndicator,
    private readonly events: EventStoreHealthIndicator,
    private readonly workflows: WorkflowHealthIndicator,
    private readonly channels: ChannelHealthIndicator,
    private readonly hub: EventHubHealthIndicator,
    @Optional() private readonly redis?: RedisHealthIndicator,
  ) {}

  /** 503 when the database does not answer; the process is alive either way. */
  @Get()
  @Answers({ 200: healthView, 503: healthView })
  async check(@Res({ passthrough: true }) response: Response): Promise<object> {
    response.set('Cache-Control', 'no-store');
    const checks: HealthIndicatorFunction[] = [
      () => this.postgres.isHealthy('postgres'),
      () => this.typeorm.pingCheck('typeorm', { timeout: PING_TIMEOUT_MS }),
      () => this.kv.isHealthy('kv'),
      () => this.events.isHealthy('eventStore'),
      () => this.workflows.isHealthy('workflows'),
      async () => limping(await this.channels.isHealthy('channels')),
      async () => limping(await this.hub.isHealthy('eventHub')),
    ];
    const { redis } = this;
    if (redis !== undefined) checks.push(async () => limping(await redis.isHealthy('redis')));
    try {
      return await this.health.check(checks);
    } catch (error) {
      // Terminus throws the report when something is down; it is the answer, not a problem.
      if (!(error instanceof HttpException)) throw error;
      response.status(error.getStatus());
      return error.getResponse() as object;
    }
  }

  /** Whether the process answers at all, whatever has become of the database. */
  @Get('live')
  @Answers({ 200: aliveView })
  live(@Res({ passthrough: true }) response: Response): { status: 'alive' } {
    response.set('Cache-Control', 'no-store');
    return { status: 'alive' };
  }

  /** Whether to send requests here: not while starting, which the gate answers, and not while stopping. */
  @Get('ready')
  @Answers({ 200: phaseView, 503: phaseView })
  ready(@Res({ passthrough: true }) response: Response): { status: string } {
    const { phase } = this.readiness;
    response.status(phase === 'ready' ? 200 : 503).set('Cache-Control', 'no-store');
    return { status: phase };
  }
}

/** Without Redis, or without the live side, the shop limps, but it sells. Where PostgreSQL is down it says so itself. */
function limping<Key extends string>(result: HealthIndicatorResult<Key>): HealthIndicatorResult<Key> {
  const [[key, report]] = Object.entries(result) as [[Key, HealthIndicatorResult[string]]];
  if (report.status !== 'down') return result;
  return { [key]: { ...report, status: 'degraded' } } as HealthIndicatorResult<Key>;
}
