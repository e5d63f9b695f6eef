import type { ProductEntity } from '../database/entities/product.entity.js';
import type { Product } from './product.js';
import type { Versioned } from './product-cache.js';

/** What of an entity makes up a product. */
export type ProductRow = Pick<
  ProductEntity,
  'id' | 'name' | 'description' | 'category' | 'tags' | 'price' | 'stock' | 'version'
>;

/** For statements of our own. */
export const PRODUCT_COLUMNS =
  'product.id, product.name, product.description, product.category, product.tags, product.price, product.stock, product.version';

/** What is left out is null in the table. */
export function toProduct({ name, description, category, tags, price, stock }: ProductRow): Product {
  return {
    name,
    ...(description !== null && { description }),
    ...(category !== null && { category }),
    ...(tags !== null && { tags }),
    price,
    stock,
  };
}

export function toVersioned(row: ProductRow): Versioned {
  return { product: toProduct(row), version: BigInt(row.version) };
}

export function toColumns({ name, description, category, tags, price, stock }: Product) {
  return {
    name,
    description: description ?? null,
    category: category ?? null,
    tags: tags ?? null,
    price,
    stock,
  };
}
