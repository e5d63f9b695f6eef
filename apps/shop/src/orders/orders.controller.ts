import { Body, Controller, Get, Headers, Param, Post, Res, UseInterceptors } from '@nestjs/common';
import type { Response } from 'express';
import { filledText } from '../http/text.js';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { notFound } from '../http/problem.js';
import { parseIdempotencyKey } from './idempotency-key.js';
import { type OrderRequest, orderRequest, toRepresentation } from './order.js';
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

  @Get(':id')
  async get(@Param('id', { schema: filledText(100) }) id: string) {
    const order = await this.orders.find(id);
    if (order === undefined) throw notFound('order', id);
    return toRepresentation(order);
  }
}
