import { holdConnections } from '@nestbox/nest';
import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import { ConfigurableModuleBuilder, Module, type DynamicModule, type Provider } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, ModuleRef } from '@nestjs/core';
import { createModuleService } from './create-module-service.js';
import { WorkflowExplorer } from './workflow.explorer.js';
import { WorkflowHealthIndicator } from './workflow.health.js';
import { WorkflowLifecycle } from './workflow.lifecycle.js';
import type { WorkflowModuleOptions } from './workflow.module.options.js';
import type { WorkflowService } from './workflow-service.js';
import { getWorkflowToken } from './workflow.tokens.js';

/** What every form of `forRoot` takes beside the options of the service. */
export interface WorkflowModuleExtras {
  /** Tells several apart: `getWorkflowToken(name)`, `@InjectWorkflows(name)`, `@Workflow({ store: name })`. */
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
  new ConfigurableModuleBuilder<WorkflowModuleOptions>({ moduleName: 'NestboxWorkflows' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createWorkflowOptions')
    .setExtras<WorkflowModuleExtras>({ isGlobal: true }, withService)
    .build();

/**
 * Runs the application's `@Workflow` classes, and gives a {@link WorkflowService} to start runs with; from when the
 * application has started until it shuts down.
 */
@Module({})
export class WorkflowModule extends ConfigurableModuleClass {
  // Restated so that the types of the options show in the declarations.
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

function withService(
  definition: DynamicModule,
  { name, isGlobal = true, connection }: WorkflowModuleExtras,
): DynamicModule {
  const token = getWorkflowToken(name);
  const providers: Provider[] = [
    {
      provide: token,
      useFactory: (options: WorkflowModuleOptions, moduleRef: ModuleRef, postgres?: Postgres) =>
        createModuleService(options, { connection, postgres }, moduleRef),
      inject: [MODULE_OPTIONS_TOKEN, ModuleRef, { token: getPostgresToken(connection), optional: true }],
    },
    {
      provide: WorkflowExplorer,
      useFactory: (discovery: DiscoveryService, moduleRef: ModuleRef) =>
        new WorkflowExplorer(name, discovery, moduleRef),
      inject: [DiscoveryService, ModuleRef],
    },
    {
      provide: WorkflowLifecycle,
      useFactory: (
        service: WorkflowService,
        explorer: WorkflowExplorer,
        options: WorkflowModuleOptions,
        moduleRef: ModuleRef,
      ) => {
        const tokens = [getPostgresToken(options.connection ?? connection)];
        return new WorkflowLifecycle(service, explorer, options, holdConnections(moduleRef, tokens));
      },
      inject: [token, WorkflowExplorer, MODULE_OPTIONS_TOKEN, ModuleRef],
    },
    WorkflowHealthIndicator,
  ];
  return {
    ...definition,
    global: isGlobal,
    imports: [...(definition.imports ?? []), DiscoveryModule],
    providers: [...(definition.providers ?? []), ...providers],
    exports: [...(definition.exports ?? []), token, WorkflowHealthIndicator],
  };
}
