import { Body, Controller, Get, Headers, Param, Post, Query, Res, UseInterceptors } from '@nestjs/common';
import type { Response } from 'express';
import type { z } from 'zod';
import { answerHistory, type HistoryQuery, historyQuery } from '../history/history-page.js';
import { filledText } from '../http/text.js';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { notFound } from '../http/problem.js';
import { parseIdempotencyKey } from './idempotency-key.js';
import { type OrderRequest, orderRequest, toRepresentation } from './order.js';
import { orderQuery, ordersQuery } from './order.requests.js';
import { Orders } from './orders.js';
import { Answers, TakesIdempotencyKey } from '../openapi/answers.js';
import { historyView, ordersView, orderView } from '../openapi/views.js';

@Controller('orders')
@UseInterceptors(DeadlineInterceptor)
export class OrdersController {
  constructor(private readonly orders: Orders) {}

  @Post()
  @Answers({ 201: orderView }, 409, 422)
  @TakesIdempotencyKey(true)
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
  @Answers({ 200: ordersView })
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

  /** What has happened to it, when, and by which request. */
  @Get(':id/history')
  @Answers({ 200: historyView }, 404)
  async history(
    @Param('id', { schema: filledText(100) }) id: string,
    @Query({ schema: historyQuery }) range: HistoryQuery,
    @Res({ passthrough: true }) response: Response,
  ) {
    const history = await this.orders.history(id, range);
    if (history === undefined) throw notFound('order', id);
    return { id, ...answerHistory(response, `/orders/${encodeURIComponent(id)}`, range, history) };
  }

  /** As it was placed; with `?version=`, also how far it had come then. */
  @Get(':id')
  @Answers({ 200: orderView }, 404)
  async get(
    @Param('id', { schema: filledText(100) }) id: string,
    @Query({ schema: orderQuery }) { version }: z.output<typeof orderQuery>,
  ) {
    if (version === undefined) {
      const order = await this.orders.find(id);
      if (order === undefined) throw notFound('order', id);
      return toRepresentation(order);
    }
    const order = await this.orders.findAt(id, version);
    if (order === undefined) throw notFound(`version ${version} of the order`, id);
    return { ...toRepresentation(order), status: order.status, version };
  }
}
