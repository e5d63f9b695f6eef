import { getPostgresToken, type Postgres } from '@nestbox/postgres';
import {
  ConfigurableModuleBuilder,
  Module,
  type DynamicModule,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { TypeOrmIsolationLevel } from './isolation-level.js';
import { TypeOrmTransactions } from './typeorm-transactions.js';
import { getTypeOrmTransactionsToken } from './typeorm.tokens.js';

/** Options of `TypeOrmTransactionsModule.forRoot`. */
export interface TypeOrmTransactionsModuleOptions {
  /** What a run has that names none. Default: see {@link TypeOrmTransactionOptions}. */
  isolationLevel?: TypeOrmIsolationLevel;
}

/** What every form of `forRoot` takes beside; with `forRootAsync` it stands beside the factory. */
export interface TypeOrmTransactionsModuleExtras {
  /** Tells several apart: `getTypeOrmTransactionsToken(name)`, `@Transactional({ name })`. */
  name?: string;
  /** Whether every module sees it without importing it. Default: true. */
  isGlobal?: boolean;
  /** The name of the data source of `TypeOrmModule`. Default: the one without a name. */
  dataSource?: string;
  /** The name of the PostgresModule to the same database. Default: the one without a name. */
  connection?: string;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<TypeOrmTransactionsModuleOptions>({
    moduleName: 'NestboxTypeOrmTransactions',
  })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createTypeOrmTransactionsOptions')
    .setExtras<TypeOrmTransactionsModuleExtras>({ isGlobal: true }, withTransactions)
    .build();

/** Gives one transaction to TypeORM's data source and to the Nestbox services of one PostgresModule. */
@Module({})
export class TypeOrmTransactionsModule extends ConfigurableModuleClass {
  // Restated so that the types of the options show in the declarations.
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }
}

/** Calls the application's hooks for a {@link TypeOrmTransactions}, which itself knows nothing of Nest. */
class TypeOrmTransactionsLifecycle implements OnModuleInit, OnApplicationShutdown {
  constructor(private readonly transactions: TypeOrmTransactions) {}

  async onModuleInit(): Promise<void> {
    await this.transactions.init();
  }

  onApplicationShutdown(): void {
    this.transactions.close();
  }
}

function withTransactions(
  definition: DynamicModule,
  { name, isGlobal = true, dataSource, connection }: TypeOrmTransactionsModuleExtras,
): DynamicModule {
  const token = getTypeOrmTransactionsToken(name);
  const providers: Provider[] = [
    {
      provide: token,
      useFactory: (
        { isolationLevel }: TypeOrmTransactionsModuleOptions,
        source: DataSource,
        postgres: Postgres,
      ) => new TypeOrmTransactions({ dataSource: source, postgres, isolationLevel }),
      inject: [MODULE_OPTIONS_TOKEN, getDataSourceToken(dataSource), getPostgresToken(connection)],
    },
    {
      provide: TypeOrmTransactionsLifecycle,
      useFactory: (transactions: TypeOrmTransactions) => new TypeOrmTransactionsLifecycle(transactions),
      inject: [token],
    },
  ];
  return {
    ...definition,
    global: isGlobal,
    providers: [...(definition.providers ?? []), ...providers],
    exports: [...(definition.exports ?? []), token],
  };
}
