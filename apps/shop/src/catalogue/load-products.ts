import type { EntityManager } from 'typeorm';
import type { Product } from './product.js';
import { toColumns } from './product-row.js';

/** How many go in one statement. */
const BATCH = 100;

/** A product that was deleted counts as not there. */
const LOAD = `
  insert into shop.product as product (id, name, description, category, tags, price, stock, version)
  select id, name, description, category, tags, price, stock, 1
    from jsonb_to_recordset($1::jsonb) as line (
           id text, name text, description text, category text, tags text[], price int, stock int)
      on conflict (id) do update
     set name = excluded.name, description = excluded.description, category = excluded.category,
         tags = excluded.tags, price = excluded.price, stock = excluded.stock,
         version = product.version + 1, updated_at = now(), deleted_at = null
   where $2 or product.deleted_at is not null
  returning id`;

interface LoadOptions {
  /** Products that are there already, too; else they are left as they are. */
  replace: boolean;
  onProgress?: (done: number) => void;
}

/** Loads a whole catalogue. @returns how many products were loaded */
export async function loadProducts(
  manager: EntityManager,
  products: ReadonlyMap<string, Product>,
  { replace, onProgress }: LoadOptions,
): Promise<number> {
  const lines = Array.from(products, ([id, product]) => ({ id, ...toColumns(product) }));
  let loaded = 0;
  for (let start = 0; start < lines.length; start += BATCH) {
    const batch = lines.slice(start, start + BATCH);
    const rows = await manager.query<unknown[]>(LOAD, [JSON.stringify(batch), replace]);
    loaded += rows.length;
    onProgress?.(start + batch.length);
  }
  return loaded;
}
