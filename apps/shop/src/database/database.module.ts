import { Postgres } from '@nestbox/postgres';
import { dataSourceAddress, runMigrations, TypeOrmTransactionsModule } from '@nestbox/typeorm';
import { type DynamicModule, Global, Injectable, Logger, Module, type OnModuleInit } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { ENTITIES, ENTITY_MIGRATIONS } from './entities.js';

/** How long TypeORM waits for a connection, and for the answer to a statement, in ms. */
const CONNECT_TIMEOUT_MS = 5000;
const QUERY_TIMEOUT_MS = 60_000;

/**
 * Opens the data source when the application starts, rather than when it is put together: by then the port is taken,
 * and the embedded server runs, whose address nobody knows before.
 */
@Injectable()
class DataSourceOpening implements OnModuleInit {
  constructor(
    private readonly dataSource: DataSource,
    private readonly postgres: Postgres,
  ) {}

  async onModuleInit(): Promise<void> {
    const { dataSource, postgres } = this;
    await postgres.init();
    const { extra } = dataSource.options as { extra?: object };
    const address = dataSourceAddress(postgres.url!);
    const options = { ...address, extra: { ...extra, ...address.extra } };
    dataSource.setOptions(options);
    await dataSource.initialize();
    await runMigrations(dataSource);
  }
}

/** Nest starts global modules before all others, in the order in which they are imported. */
@Global()
@Module({ providers: [DataSourceOpening] })
class DataSourceOpeningModule {}

/** The entities, in the database of the PostgresModule, and transactions that they share with all that is in it. */
@Module({})
export class DatabaseModule {
  static forRoot(): DynamicModule {
    const logger = new Logger('TypeOrm');
    return {
      module: DatabaseModule,
      imports: [
        TypeOrmModule.forRootAsync({
          useFactory: () => ({
            type: 'postgres',
            entities: ENTITIES,
            migrations: ENTITY_MIGRATIONS,
            manualInitialization: true,
            installExtensions: false,
            connectTimeoutMS: CONNECT_TIMEOUT_MS,
            poolErrorHandler: (error: unknown) => logger.debug(`A connection was lost: ${String(error)}`),
            extra: { query_timeout: QUERY_TIMEOUT_MS, keepAlive: true },
          }),
        }),
        // The data source has to be open before its transactions are.
        DataSourceOpeningModule,
        TypeOrmTransactionsModule.forRoot(),
        TypeOrmModule.forFeature(ENTITIES),
      ],
      exports: [TypeOrmModule],
    };
  }
}
