import { type DocumentProjection, Projection, type ReadEvent } from '@nestbox/event-store';
import type { ProductReturned, ProductSold } from '../orders/order.events.js';

/** The collection of what was sold, by product. */
export const PRODUCT_SALES = 'product-sales';

/** What was sold of a product, in carts when they are confirmed and in orders at once; less what was cancelled. */
export interface ProductSales {
  /** As it was called last. */
  name: string;
  quantity: number;
  /** In cents. */
  revenue: number;
  orders: number;
  /** In the log, of the last sale that is counted; as text. Of the news of sales, those behind it come on top. */
  position: string;
}

type Sale = ProductSold | ProductReturned;

/**
 * Adds up the sales of each product, over the streams of all orders. It runs behind the orders, so that two that have
 * a product in common do not wait for each other's row.
 */
@Projection({
  name: PRODUCT_SALES,
  mode: 'async',
  events: ['ProductSold', 'ProductReturned'],
  indexes: ['revenue'],
})
export class ProductSalesProjection implements DocumentProjection<ProductSales, Sale> {
  getDocumentId({ data }: ReadEvent<Sale>): string {
    return data.productId;
  }

  evolve(sales: ProductSales | null, { type, data, metadata }: ReadEvent<Sale>): ProductSales {
    const sign = type === 'ProductSold' ? 1 : -1;
    return {
      name: data.name,
      quantity: (sales?.quantity ?? 0) + sign * data.quantity,
      revenue: (sales?.revenue ?? 0) + sign * data.quantity * data.unitPrice,
      orders: (sales?.orders ?? 0) + sign,
      position: String(metadata.globalPosition),
    };
  }
}
