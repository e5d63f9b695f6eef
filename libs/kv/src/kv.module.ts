import {
  ConfigurableModuleBuilder,
  Module,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { holdConnections } from '@nestbox/nest';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import { getRedisToken, type Redis } from '@nestbox/redis';
import { createAdapter } from './create-adapter.js';
import { KeyValueStore } from './key-value-store.js';
import { KvHealthIndicator } from './kv.health.js';
import type { KvModuleOptions } from './kv.options.js';
import { getKvToken } from './kv.tokens.js';

/** What every form of `forRoot` takes beside the options of the store. */
export interface KvModuleExtras {
  /** Tells several stores apart: `getKvToken(name)`, `@InjectKv(name)`. */
  name?: string;
  /** Whether every module sees it without importing it. Default: true. */
  isGlobal?: boolean;
  /**
   * Name of the PostgresModule or RedisModule whose connection is used. With `forRootAsync` it stands beside the
   * factory, since Nest has to know it before it calls that. Default: the one without a name.
   */
  connection?: string;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<KvModuleOptions>({ moduleName: 'NestboxKv' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createKvOptions')
    .setExtras<KvModuleExtras>({ isGlobal: true }, withStore)
    .build();

/** Opens a {@link KeyValueStore} when the application starts, and closes it when the application has shut down. */
@Module({})
export class KvModule extends ConfigurableModuleClass {
  // Restated so that the types of the options show in the declarations.
  static override forRoot(options: typeof OPTIONS_TYPE): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

/** Calls the application's hooks for a {@link KeyValueStore}, which itself knows nothing of Nest. */
class KvLifecycle implements OnModuleInit, OnApplicationShutdown {
  constructor(
    private readonly store: KeyValueStore,
    private readonly closes: boolean,
    private readonly release: () => Promise<void>,
  ) {}

  async onModuleInit(): Promise<void> {
    try {
      await this.store.init();
    } catch (error) {
      // Nest runs no shutdown hooks after a failed start.
      await this.onApplicationShutdown();
      throw error;
    }
  }

  async onApplicationShutdown(): Promise<void> {
    try {
      if (this.closes) await this.store.close();
    } finally {
      await this.release();
    }
  }
}

function withStore(
  definition: DynamicModule,
  { name, isGlobal = true, connection }: KvModuleExtras,
): DynamicModule {
  const token = getKvToken(name);
  const providers: Provider[] = [
    {
      provide: token,
      useFactory: (options: KvModuleOptions, moduleRef: ModuleRef, postgres?: Postgres, redis?: Redis) => {
        const adapter = createAdapter(options, { name: connection, postgres, redis }, moduleRef);
        return new KeyValueStore({ ...options, adapter });
      },
      inject: [
        MODULE_OPTIONS_TOKEN,
        ModuleRef,
        { token: getPostgresToken(connection), optional: true },
        { token: getRedisToken(connection), optional: true },
      ],
    },
    {
      provide: KvLifecycle,
      useFactory: (store: KeyValueStore, options: KvModuleOptions, moduleRef: ModuleRef) => {
        const closes = !('closeAdapter' in options) || options.closeAdapter !== false;
        const used = ('connection' in options ? options.connection : undefined) ?? connection;
        const tokens = [getPostgresToken(used), getRedisToken(used)];
        return new KvLifecycle(store, closes, holdConnections(moduleRef, tokens));
      },
      inject: [token, MODULE_OPTIONS_TOKEN, ModuleRef],
    },
    KvHealthIndicator,
  ];
  return {
    ...definition,
    global: isGlobal,
    providers: [...(definition.providers ?? []), ...providers],
    exports: [...(definition.exports ?? []), token, KvHealthIndicator],
  };
}
