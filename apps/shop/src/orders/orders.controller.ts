import { Body, Controller, Get, Headers, Param, Post, Query, Res, UseInterceptors } from '@nestjs/common';
import type { Response } from 'express';
import type { z } from 'zod';
import { toHistoryEntry } from '../carts/cart-history.js';
import { filledText } from '../http/text.js';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { notFound } from '../http/problem.js';
import type { OrderEvent } from './order.events.js';
import { parseIdempotencyKey } from './idempotency-key.js';
import { type OrderRequest, orderRequest, toRepresentation } from './order.js';
import { ordersQuery, orderHistoryQuery } from './order.requests.js';
import { Orders } from './orders.js';

@Controller('orders')
@UseInterceptors(DeadlineInterceptor)
export class OrdersController {
  constructor(private readonly orders: Orders) {}

  @Post()
  async place(
    @Headers('idempotency-key') header: string | undefined,
    @Body({ schema: orderRequest }) request: OrderRequest,
    @Res({ passthrough: true }) response: Response,
  ) {
    const answer = await this.orders.place(parseIdempotencyKey(header), request);
    if (answer.replayed) response.set('Idempotent-Replayed', 'true');
    response.status(answer.status).set(answer.headers);
    return answer.body;
  }

  /** The newest ones, with how far they have come. */
  @Get()
  async list(
    @Query({ schema: ordersQuery }) { limit }: z.output<typeof ordersQuery>,
    @Res({ passthrough: true }) response: Response,
  ) {
    response.set('Cache-Control', 'no-store');
    const orders = await this.orders.newest(limit);
    return {
      orders: orders.map((order) => ({ ...toRepresentation(order), status: order.status ?? 'placed' })),
    };
  }

  @Get(':id/history')
  async history(
    @Param('id', { schema: filledText(100) }) id: string,
    @Query({ schema: orderHistoryQuery }) range: z.output<typeof orderHistoryQuery>,
    @Res({ passthrough: true }) response: Response,
  ) {
    const history = await this.orders.history(id, range);
    if (history === undefined) throw notFound('order', id);
    const events = history.events.map((event) => toHistoryEntry<OrderEvent>(event));
    const last = events.at(-1)?.version;
    if (last !== undefined && BigInt(last) < history.version) {
      const next = new URLSearchParams({ after: String(last), limit: String(range.limit) });
      response.set('Link', `</orders/${encodeURIComponent(id)}/history?${next.toString()}>; rel="next"`);
    }
    response.set('Cache-Control', 'no-cache');
    return { id, version: Number(history.version), events };
  }

  @Get(':id')
  async get(@Param('id', { schema: filledText(100) }) id: string) {
    const order = await this.orders.find(id);
    if (order === undefined) throw notFound('order', id);
    return toRepresentation(order);
  }
}
