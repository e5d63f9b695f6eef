import { holdConnections } from '@nestbox/nest';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import { getRedisToken, type Redis } from '@nestbox/redis';
import { ConfigurableModuleBuilder, Module, type DynamicModule, type Provider } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { ChannelHealthIndicator } from './channel.health.js';
import { ChannelLifecycle } from './channel.lifecycle.js';
import type { ChannelModuleOptions } from './channel.options.js';
import type { ChannelService } from './channel.service.js';
import { getChannelsToken } from './channel.tokens.js';
import { createChannels } from './create-channels.js';

/** What every form of `forRoot` takes beside the options of the service. */
export interface ChannelModuleExtras {
  /** Tells several services apart: `getChannelsToken(name)`, `@InjectChannels(name)`. */
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
  new ConfigurableModuleBuilder<ChannelModuleOptions>({ moduleName: 'NestboxChannels' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createChannelOptions')
    .setExtras<ChannelModuleExtras>({ isGlobal: true }, withChannels)
    .build();

/** Opens a {@link ChannelService} when the application starts, and closes it when the application has shut down. */
@Module({})
export class ChannelModule extends ConfigurableModuleClass {
  // Restated so that the types of the options show in the declarations.
  static override forRoot(options: typeof OPTIONS_TYPE): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

function withChannels(
  definition: DynamicModule,
  { name, isGlobal = true, connection }: ChannelModuleExtras,
): DynamicModule {
  const token = getChannelsToken(name);
  const providers: Provider[] = [
    {
      provide: token,
      useFactory: (options: ChannelModuleOptions, moduleRef: ModuleRef, postgres?: Postgres, redis?: Redis) =>
        createChannels(options, { name: connection, postgres, redis }, moduleRef),
      inject: [
        MODULE_OPTIONS_TOKEN,
        ModuleRef,
        { token: getPostgresToken(connection), optional: true },
        { token: getRedisToken(connection), optional: true },
      ],
    },
    {
      provide: ChannelLifecycle,
      useFactory: (channels: ChannelService, options: ChannelModuleOptions, moduleRef: ModuleRef) => {
        const used = options.connection ?? connection;
        const tokens = [getPostgresToken(used), getRedisToken(used)];
        return new ChannelLifecycle(channels, options, holdConnections(moduleRef, tokens));
      },
      inject: [token, MODULE_OPTIONS_TOKEN, ModuleRef],
    },
    ChannelHealthIndicator,
  ];
  return {
    ...definition,
    global: isGlobal,
    providers: [...(definition.providers ?? []), ...providers],
    exports: [...(definition.exports ?? []), token, ChannelHealthIndicator],
  };
}
