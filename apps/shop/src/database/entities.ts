import { CreateEntities1763700000000 } from './create-entities.migration.js';
import { CustomerEntity } from './entities/customer.entity.js';
import { ProductEntity } from './entities/product.entity.js';
import { ShareAddresses1763800000000 } from './share-addresses.migration.js';

/** All that the shop keeps by TypeORM. */
export const ENTITIES = [ProductEntity, CustomerEntity];

/** What makes their tables, in order. */
export const ENTITY_MIGRATIONS = [CreateEntities1763700000000, ShareAddresses1763800000000];
