import { closeWhenReleased } from '@nestbox/nest';
import {
  ConfigurableModuleBuilder,
  Module,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { PostgresHealthIndicator } from './postgres.health.js';
import type { PostgresOptions } from './postgres.options.js';
import { Postgres } from './postgres.js';
import { getPostgresToken } from './postgres.tokens.js';

/** What every form of `forRoot` takes beside the options of {@link Postgres}. */
export interface PostgresModuleExtras {
  /** Tells several databases apart: `getPostgresToken(name)`, `@InjectPostgres(name)`. */
  name?: string;
  /** Whether every module sees it without importing it. Default: true. */
  isGlobal?: boolean;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<PostgresOptions>({ moduleName: 'NestboxPostgres' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createPostgresOptions')
    .setExtras<PostgresModuleExtras>({ isGlobal: true }, (definition, { name, isGlobal }) =>
      withPostgres(definition, name, isGlobal ?? true),
    )
    .build();

/** Opens a {@link Postgres} when the application starts, and closes it when the application has shut down. */
@Module({})
export class PostgresModule extends ConfigurableModuleClass {
  // Restated so that the types of the options show in the declarations.
  static override forRoot(options: typeof OPTIONS_TYPE): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

/** Calls the application's hooks for a {@link Postgres}, which itself knows nothing of Nest. */
class PostgresLifecycle implements OnModuleInit, OnApplicationShutdown {
  constructor(private readonly postgres: Postgres) {}

  async onModuleInit(): Promise<void> {
    try {
      await this.postgres.init();
    } catch (error) {
      // Nest runs no shutdown hooks after a failed start.
      await this.postgres.close();
      throw error;
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await closeWhenReleased(this.postgres, () => this.postgres.close());
  }
}

function withPostgres(definition: DynamicModule, name: string | undefined, isGlobal: boolean): DynamicModule {
  const token = getPostgresToken(name);
  const providers: Provider[] = [
    {
      provide: token,
      useFactory: (options: PostgresOptions) => new Postgres(options),
      inject: [MODULE_OPTIONS_TOKEN],
    },
    {
      provide: PostgresLifecycle,
      useFactory: (postgres: Postgres) => new PostgresLifecycle(postgres),
      inject: [token],
    },
    PostgresHealthIndicator,
  ];
  return {
    ...definition,
    global: isGlobal,
    providers: [...(definition.providers ?? []), ...providers],
    exports: [...(definition.exports ?? []), token, PostgresHealthIndicator],
  };
}
