import { messageOf } from '@nestbox/core';
import { Body, Controller, Get, HttpCode, Param, Post, Res, UseInterceptors } from '@nestjs/common';
import type { Response } from 'express';
import { z } from 'zod';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { filledText } from '../http/text.js';
import type { Payment } from '../payments/payment-provider.js';
import { Checkouts } from './checkouts.js';
import { toStepView } from './step-view.js';
import { Answers } from '../openapi/answers.js';
import { paymentsView, retriedView, stepsView, turnView } from '../openapi/views.js';

const orderId = filledText(100);

const packedBody = z
  .strictObject(
    { by: filledText(100).optional() },
    { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object.' : undefined) },
  )
  .default({});

/** What becomes of an order once it is placed. */
@Controller('orders/:id')
@UseInterceptors(DeadlineInterceptor)
export class CheckoutsController {
  constructor(private readonly checkouts: Checkouts) {}

  @Get('steps')
  @Answers({ 200: stepsView }, 404)
  async steps(@Param('id', { schema: orderId }) id: string, @Res({ passthrough: true }) response: Response) {
    const { status, error, steps } = await this.checkouts.progress(id);
    response.set('Cache-Control', 'no-store');
    return { id, status, error: error === undefined ? null : messageOf(error), steps: steps.map(toStepView) };
  }

  /** What the payment provider has in its books. */
  @Get('payments')
  @Answers({ 200: paymentsView }, 404)
  async payments(
    @Param('id', { schema: orderId }) id: string,
    @Res({ passthrough: true }) response: Response,
  ) {
    response.set('Cache-Control', 'no-store');
    const payments = await this.checkouts.paymentsOf(id);
    return { id, payments: payments.map(toPaymentView) };
  }

  @Post('packed')
  @Answers({ 202: turnView }, 404, 409)
  @HttpCode(202)
  async packed(
    @Param('id', { schema: orderId }) id: string,
    @Body({ schema: packedBody }) { by }: z.output<typeof packedBody>,
  ) {
    return { id, status: await this.checkouts.packed(id, by === undefined ? {} : { by }) };
  }

  @Post('cancel')
  @Answers({ 200: turnView }, 404, 409)
  @HttpCode(200)
  async cancel(@Param('id', { schema: orderId }) id: string) {
    await this.checkouts.cancel(id);
    return { id, status: 'cancelled' };
  }

  @Post('retry')
  @Answers({ 202: retriedView }, 404, 409)
  @HttpCode(202)
  async retry(@Param('id', { schema: orderId }) id: string) {
    await this.checkouts.retry(id);
    return { id };
  }
}

/** The order of its properties is fixed. */
function toPaymentView({ id, card, amount, closed, requests, log }: Payment) {
  const bookings = log.map((booking) => {
    const { kind, amount: moved, key, at } = booking;
    return { kind, amount: moved, key, at };
  });
  return { id, card, amount, closed, requests, log: bookings };
}
