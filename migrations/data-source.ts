import { dataSourceAddress } from '@nestbox/typeorm';
import { DataSource } from 'typeorm';
import { ENTITIES, ENTITY_MIGRATIONS } from '../apps/shop/src/database/entities.js';
import { NESTBOX_MIGRATIONS } from './nestbox.migrations.js';

/**
 * The shop's entities, and all migrations of its database.
 *
 * @param url may list several hosts
 * @throws InvalidArgumentError
 */
export function createDataSource(url: string): DataSource {
  return new DataSource({
    type: 'postgres',
    ...dataSourceAddress(url),
    entities: ENTITIES,
    migrations: [...NESTBOX_MIGRATIONS, ...ENTITY_MIGRATIONS].toSorted(byStamp),
    installExtensions: false,
  });
}

/** As TypeORM runs them: by the time stamp that a name ends with. */
function byStamp(a: { name: string }, b: { name: string }): number {
  return stampOf(a) - stampOf(b);
}

function stampOf({ name }: { name: string }): number {
  return Number(name.slice(-13));
}
