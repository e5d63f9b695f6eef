import { getChannelsToken, type ChannelService } from '@nestbox/channels';
import { holdConnections } from '@nestbox/nest';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import { getRedisToken, type Redis } from '@nestbox/redis';
import { ConfigurableModuleBuilder, Module, type DynamicModule, type Provider } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, MetadataScanner, ModuleRef } from '@nestjs/core';
import { createHub } from './create-hub.js';
import { EventHubHealthIndicator } from './event-hub.health.js';
import { EventHubLifecycle } from './event-hub.lifecycle.js';
import type { EventHubModuleOptions } from './event-hub.module.options.js';
import type { EventHubService } from './event-hub.service.js';
import { getEventHubToken } from './event-hub.tokens.js';
import { OnTopicExplorer } from './on-topic.explorer.js';

/** What every form of `forRoot` takes beside the options of the hub. */
export interface EventHubModuleExtras {
  /** Tells several hubs apart: `getEventHubToken(name)`, `@InjectEventHub(name)`, `@OnTopic(topic, { store: name })`. */
  name?: string;
  /** Whether every module sees it without importing it. Default: true. */
  isGlobal?: boolean;
  /**
   * Name of the PostgresModule or RedisModule whose connection is used. With `forRootAsync` it stands beside the
   * factory, since Nest has to know it before it calls that. Default: the one without a name.
   */
  connection?: string;
  /** The name of the ChannelModule whose channels are subscribed; it stands where `connection` does. */
  channels?: string;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<EventHubModuleOptions>({ moduleName: 'NestboxEventHub' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createEventHubOptions')
    .setExtras<EventHubModuleExtras>({ isGlobal: true }, withHub)
    .build();

/** Opens an {@link EventHubService} when the application starts, and closes it when the application has shut down. */
@Module({})
export class EventHubModule extends ConfigurableModuleClass {
  // Restated so that the types of the options show in the declarations.
  static override forRoot(options: typeof OPTIONS_TYPE): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

function withHub(
  definition: DynamicModule,
  { name, isGlobal = true, connection, channels }: EventHubModuleExtras,
): DynamicModule {
  const token = getEventHubToken(name);
  const providers: Provider[] = [
    {
      provide: token,
      useFactory: (
        options: EventHubModuleOptions,
        moduleRef: ModuleRef,
        postgres?: Postgres,
        redis?: Redis,
        known?: ChannelService,
      ) => createHub(options, { name, connection, postgres, redis, channels: known }, moduleRef),
      inject: [
        MODULE_OPTIONS_TOKEN,
        ModuleRef,
        { token: getPostgresToken(connection), optional: true },
        { token: getRedisToken(connection), optional: true },
        { token: getChannelsToken(channels), optional: true },
      ],
    },
    {
      provide: EventHubLifecycle,
      useFactory: (hub: EventHubService, options: EventHubModuleOptions, moduleRef: ModuleRef) => {
        const used = options.connection ?? connection;
        const tokens = [getPostgresToken(used), getRedisToken(used)];
        return new EventHubLifecycle(hub, options, holdConnections(moduleRef, tokens));
      },
      inject: [token, MODULE_OPTIONS_TOKEN, ModuleRef],
    },
    {
      provide: OnTopicExplorer,
      useFactory: (
        hub: EventHubService,
        discovery: DiscoveryService,
        scanner: MetadataScanner,
        moduleRef: ModuleRef,
      ) => new OnTopicExplorer(name, hub, discovery, scanner, moduleRef),
      inject: [token, DiscoveryService, MetadataScanner, ModuleRef],
    },
    EventHubHealthIndicator,
  ];
  return {
    ...definition,
    global: isGlobal,
    imports: [...(definition.imports ?? []), DiscoveryModule],
    providers: [...(definition.providers ?? []), ...providers],
    exports: [...(definition.exports ?? []), token, EventHubHealthIndicator],
  };
}
