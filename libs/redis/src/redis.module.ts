import { closeWhenReleased } from '@nestbox/nest';
import { backoffMs, parseDuration, type Duration } from '@nestbox/core';
import {
  ConfigurableModuleBuilder,
  Module,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisUnavailableError } from './redis.errors.js';
import { RedisHealthIndicator } from './redis.health.js';
import { Redis } from './redis.js';
import type { RedisModuleOptions } from './redis.options.js';
import { getRedisToken } from './redis.tokens.js';

/** What every form of `forRoot` takes beside the options of {@link Redis}. */
export interface RedisModuleExtras {
  /** Tells several connections apart: `getRedisToken(name)`, `@InjectRedis(name)`. */
  name?: string;
  /** Whether every module sees it without importing it. Default: true. */
  isGlobal?: boolean;
  /**
   * How long the application's start tries to reach Redis before it fails. With `false` it starts without Redis, and
   * commands fail until it is there. Default: 10 s.
   */
  startTimeout?: Duration | false;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<RedisModuleOptions>({ moduleName: 'NestboxRedis' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createRedisOptions')
    .setExtras<RedisModuleExtras>({ isGlobal: true, startTimeout: '10s' }, withRedis)
    .build();

/** Connects a {@link Redis} when the application starts, and closes it when the application has shut down. */
@Module({})
export class RedisModule extends ConfigurableModuleClass {
  // Restated so that the types of the options show in the declarations.
  static override forRoot(options: typeof OPTIONS_TYPE): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

/** Calls the application's hooks for a {@link Redis}, which itself knows nothing of Nest. */
class RedisLifecycle implements OnModuleInit, OnApplicationShutdown {
  constructor(
    private readonly redis: Redis,
    private readonly startTimeoutMs: number | undefined,
  ) {}

  async onModuleInit(): Promise<void> {
    try {
      await this.connect();
    } catch (error) {
      // Nest runs no shutdown hooks after a failed start.
      await this.redis.close();
      throw error;
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await closeWhenReleased(this.redis, () => this.redis.close());
  }

  private async connect(): Promise<void> {
    const deadline = performance.now() + (this.startTimeoutMs ?? 0);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.redis.connect();
      } catch (error) {
        if (!(error instanceof RedisUnavailableError)) throw error;
        if (this.startTimeoutMs === undefined) return;
        if (performance.now() >= deadline) throw error;
      }
      await sleep(backoffMs(attempt, { baseMs: 50, maxMs: 500 }));
    }
  }
}

function withRedis(
  definition: DynamicModule,
  { name, isGlobal = true, startTimeout = '10s' }: RedisModuleExtras,
): DynamicModule {
  const token = getRedisToken(name);
  const startTimeoutMs =
    startTimeout === false ? undefined : parseDuration(startTimeout, 'options.startTimeout');
  const providers: Provider[] = [
    {
      provide: token,
      useFactory: (options: RedisModuleOptions) => new Redis(options),
      inject: [MODULE_OPTIONS_TOKEN],
    },
    {
      provide: RedisLifecycle,
      useFactory: (redis: Redis) => new RedisLifecycle(redis, startTimeoutMs),
      inject: [token],
    },
    RedisHealthIndicator,
  ];
  return {
    ...definition,
    global: isGlobal,
    providers: [...(definition.providers ?? []), ...providers],
    exports: [...(definition.exports ?? []), token, RedisHealthIndicator],
  };
}
