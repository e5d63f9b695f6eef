import { EventStore } from '@nestbox/event-store';
import { Controller, Get, Query, Res, UseInterceptors } from '@nestjs/common';
import type { Response } from 'express';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { linkNext, type PageQuery, pageQuery } from '../http/paging.js';
import { PRODUCT_SALES, type ProductSales } from './product-sales.projection.js';
import { Answers } from '../openapi/answers.js';
import { salesView } from '../openapi/views.js';

/** What was sold, by product. It comes a moment behind the orders. */
@Controller('sales')
@UseInterceptors(DeadlineInterceptor)
export class SalesController {
  constructor(private readonly events: EventStore) {}

  /** What brought in most comes first. */
  @Get()
  @Answers({ 200: salesView })
  async list(
    @Query({ schema: pageQuery }) { cursor, limit }: PageQuery,
    @Res({ passthrough: true }) response: Response,
  ) {
    const page = await this.events
      .collection<ProductSales>(PRODUCT_SALES)
      .find({}, { sort: { revenue: 'desc' }, limit, cursor });
    linkNext(response, '/sales', { cursor: page.cursor, limit });
    response.set('Cache-Control', 'no-cache');
    return {
      products: page.map(({ _id, name, quantity, revenue, orders, position }) => {
        return { productId: _id, name, quantity, revenue, orders, position };
      }),
      cursor: page.cursor ?? null,
    };
  }
}
