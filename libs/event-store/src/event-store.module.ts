import { holdConnections } from '@nestbox/nest';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import { ConfigurableModuleBuilder, Module, type DynamicModule, type Provider } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, ModuleRef } from '@nestjs/core';
import { createModuleStore } from './create-module-store.js';
import { EventStoreHealthIndicator } from './event-store.health.js';
import type { EventStore } from './event-store.js';
import { EventStoreLifecycle } from './event-store.lifecycle.js';
import type { EventStoreModuleOptions } from './event-store.module.options.js';
import { getEventStoreToken } from './event-store.tokens.js';
import { HandlerExplorer } from './handler.explorer.js';

/** What every form of `forRoot` takes beside the options of the store. */
export interface EventStoreModuleExtras {
  /** Tells several stores apart: `getEventStoreToken(name)`, `@InjectEventStore(name)`, `@Projection({ store: name })`. */
  name?: string;
  /** Whether every module sees it without importing it. Default: true. */
  isGlobal?: boolean;
  /**
   * Name of the PostgresModule whose connection is used. With `forRootAsync` it stands beside the factory, since Nest
   * has to know it before it calls that. Default: the one without a name.
   */
  connection?: string;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<EventStoreModuleOptions>({ moduleName: 'NestboxEventStore' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createEventStoreOptions')
    .setExtras<EventStoreModuleExtras>({ isGlobal: true }, withStore)
    .build();

/**
 * Opens an {@link EventStore} when the application starts, runs the application's `@Projection` and `@Reactor` classes,
 * and closes it when the application has shut down.
 */
@Module({})
export class EventStoreModule extends ConfigurableModuleClass {
  // Restated so that the types of the options show in the declarations.
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

function withStore(
  definition: DynamicModule,
  { name, isGlobal = true, connection }: EventStoreModuleExtras,
): DynamicModule {
  const token = getEventStoreToken(name);
  const providers: Provider[] = [
    {
      provide: token,
      useFactory: (options: EventStoreModuleOptions, moduleRef: ModuleRef, postgres?: Postgres) =>
        createModuleStore(options, { connection, postgres }, moduleRef),
      inject: [MODULE_OPTIONS_TOKEN, ModuleRef, { token: getPostgresToken(connection), optional: true }],
    },
    {
      provide: HandlerExplorer,
      useFactory: (discovery: DiscoveryService, moduleRef: ModuleRef) =>
        new HandlerExplorer(name, discovery, moduleRef),
      inject: [DiscoveryService, ModuleRef],
    },
    {
      provide: EventStoreLifecycle,
      useFactory: (
        store: EventStore,
        explorer: HandlerExplorer,
        options: EventStoreModuleOptions,
        moduleRef: ModuleRef,
      ) => {
        const tokens = [getPostgresToken(options.connection ?? connection)];
        return new EventStoreLifecycle(store, explorer, options, holdConnections(moduleRef, tokens));
      },
      inject: [token, HandlerExplorer, MODULE_OPTIONS_TOKEN, ModuleRef],
    },
    EventStoreHealthIndicator,
  ];
  return {
    ...definition,
    global: isGlobal,
    imports: [...(definition.imports ?? []), DiscoveryModule],
    providers: [...(definition.providers ?? []), ...providers],
    exports: [...(definition.exports ?? []), token, EventStoreHealthIndicator],
  };
}
