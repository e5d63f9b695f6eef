import { PostgresModule } from '@nestbox/postgres';
import type { DynamicModule } from '@nestjs/common';
import type { ShopConfig } from './config.js';
import { DatabaseModule } from './database/database.module.js';

/** The database and the entities in it, which the seed command uses too. */
export function storage({ databaseUrl, embeddedDataDir }: ShopConfig): DynamicModule[] {
  const postgres =
    databaseUrl === undefined ? { embedded: { dataDir: embeddedDataDir } } : { url: databaseUrl };
  return [PostgresModule.forRoot(postgres), DatabaseModule.forRoot()];
}
