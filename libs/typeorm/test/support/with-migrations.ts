import type { DataSource } from 'typeorm';
import { TYPEORMS } from './data-sources.js';

export type Mode = 'all' | 'each' | 'none';
// oxlint-disable-next-line typescript/no-explicit-any -- as TypeORM has it, of which there are two here
type MigrationClass = new () => any;

/** The table in which TypeORM writes down what it ran, with its sequence and index. */
export const OF_TYPEORM = /^(public\.)?(migrations|PK_[0-9a-f]+|"PK_[0-9a-f]+")/;

/** Opens a data source that has nothing but migrations, and closes it after `fn`. */
export async function withMigrations<T>(
  [, { DataSource: Source }]: (typeof TYPEORMS)[number],
  url: string,
  migrations: readonly MigrationClass[],
  fn: (source: DataSource) => Promise<T>,
  mode: Mode = 'all',
): Promise<T> {
  const source = new Source({
    type: 'postgres',
    url,
    migrations: [...migrations],
    migrationsTransactionMode: mode,
    installExtensions: false,
  });
  await source.initialize();
  try {
    return await fn(source);
  } finally {
    await source.destroy();
  }
}
