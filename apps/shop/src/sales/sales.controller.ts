import { EventStore } from '@nestbox/event-store';
import { Controller, Get, Query, Res, UseInterceptors } from '@nestjs/common';
import type { Response } from 'express';
import { z } from 'zod';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { text, wholeNumberText } from '../http/text.js';
import { PRODUCT_SALES, type ProductSales } from './product-sales.projection.js';

const MAX_LIMIT = 500;

const salesQuery = z.strictObject({
  cursor: text(10_000)
    .transform((cursor) => (cursor === '' ? undefined : cursor))
    .optional(),
  limit: wholeNumberText(1, MAX_LIMIT).default(50),
});

/** What was sold, by product. It comes a moment behind the orders. */
@Controller('sales')
@UseInterceptors(DeadlineInterceptor)
export class SalesController {
  constructor(private readonly events: EventStore) {}

  /** What brought in most comes first. */
  @Get()
  async list(
    @Query({ schema: salesQuery }) { cursor, limit }: z.output<typeof salesQuery>,
    @Res({ passthrough: true }) response: Response,
  ) {
    const page = await this.events
      .collection<ProductSales>(PRODUCT_SALES)
      .find({}, { sort: { revenue: 'desc' }, limit, cursor });
    if (page.cursor !== undefined) {
      const next = new URLSearchParams({ cursor: page.cursor, limit: String(limit) });
      response.set('Link', `</sales?${next.toString()}>; rel="next"`);
    }
    response.set('Cache-Control', 'no-cache');
    return {
      products: page.map(({ _id, name, quantity, revenue, orders, position }) => {
        return { productId: _id, name, quantity, revenue, orders, position };
      }),
      cursor: page.cursor ?? null,
    };
  }
}
