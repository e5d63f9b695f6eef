import type { EntityManager } from 'typeorm';
import { PRODUCT_COLUMNS, type ProductRow } from './product-row.js';

/** So many of a product. */
export interface Quantity {
  productId: string;
  quantity: number;
}

/** There is not enough left of some products, or they are not there. */
export class NotEnoughError extends Error {
  constructor(readonly productIds: readonly string[]) {
    super(`There is not enough of ${productIds.map((id) => JSON.stringify(id)).join(', ')}.`);
    this.name = 'NotEnoughError';
  }
}

/**
 * Takes from several products at once, each where there is enough. Two that take the same ones lock them in the order
 * of their ids, so that they wait for each other instead of meeting in a deadlock.
 */
const TAKE = `
  with wanted as (
         select id collate "C" as id, quantity from unnest($1::text[], $2::int[]) as wanted (id, quantity)),
       locked as (
         select product.id
           from shop.product join wanted on wanted.id = product.id
          where product.deleted_at is null
          order by product.id
            for no key update of product)
  update shop.product
     set stock = product.stock - wanted.quantity, version = product.version + 1, updated_at = now()
    from wanted, locked
   where wanted.id = locked.id and product.id = locked.id and product.stock >= wanted.quantity
  returning ${PRODUCT_COLUMNS}`;

/**
 * Takes off the stock as much as is wanted, or gives it back where a quantity is negative. A product appears once.
 *
 * @returns the products as they are now; those are missing of which there is not enough, or that are not there
 */
export async function changeStock(
  manager: EntityManager,
  wanted: readonly Quantity[],
): Promise<Map<string, ProductRow>> {
  const [rows] = await manager.query<[ProductRow[], number]>(TAKE, [
    wanted.map(({ productId }) => productId),
    wanted.map(({ quantity }) => quantity),
  ]);
  return new Map(rows.map((row) => [row.id, row]));
}
