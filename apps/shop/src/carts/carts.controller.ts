import { randomUUID } from 'node:crypto';
import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Param,
  Post,
  Put,
  Query,
  Res,
  UseInterceptors,
} from '@nestjs/common';
import type { Response } from 'express';
import type { z } from 'zod';
import { productId } from '../catalogue/product.js';
import { Conditions } from '../http/conditional.js';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { entityTag, type Preconditions } from '../http/entity-tag.js';
import { answerHistory, type HistoryQuery, historyQuery } from '../history/history-page.js';
import { notFound, preconditionFailed } from '../http/problem.js';
import { parseIdempotencyKey } from '../orders/idempotency-key.js';
import { type Cart, toRepresentation } from './cart.js';
import { cartId, cartQuery, confirmBody, type ItemBody, itemBody, removeQuery } from './cart.requests.js';
import { Carts } from './carts.js';
import { Answers, TakesConditions, TakesIdempotencyKey } from '../openapi/answers.js';
import { cartView, historyView } from '../openapi/views.js';

/** The entity tag of a cart is the version of its stream. */
@Controller('carts')
@UseInterceptors(DeadlineInterceptor)
export class CartsController {
  constructor(private readonly carts: Carts) {}

  @Post()
  @Answers({ 201: cartView })
  async open(@Res({ passthrough: true }) response: Response) {
    const id = randomUUID();
    const { cart } = await this.carts.open(id);
    response.set('Location', `/carts/${id}`);
    return answer(response, id, cart);
  }

  /** For clients that choose the id, so that they may repeat the request. */
  @Put(':id')
  @Answers({ 200: cartView, 201: cartView }, 412)
  @TakesConditions()
  async put(
    @Param('id', { schema: cartId }) id: string,
    @Conditions() conditions: Preconditions,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { cart, created } = await this.carts.open(id, conditions);
    response.status(created ? 201 : 200);
    if (created) response.set('Location', `/carts/${encodeURIComponent(id)}`);
    return answer(response, id, cart);
  }

  @Get(':id')
  @Answers({ 200: cartView, 304: 'It is as you have it.' }, 404, 412)
  @TakesConditions()
  async get(
    @Param('id', { schema: cartId }) id: string,
    @Query({ schema: cartQuery }) { version }: z.output<typeof cartQuery>,
    @Conditions() conditions: Preconditions,
    @Res({ passthrough: true }) response: Response,
  ) {
    const cart = await (version === undefined ? this.carts.find(id) : this.carts.findAt(id, version));
    if (cart === undefined)
      throw notFound(version === undefined ? 'cart' : `version ${version} of the cart`, id);
    const current = BigInt(cart.version);
    const outcome = conditions.read(current);
    if (outcome === 'precondition-failed') throw preconditionFailed(current);
    response.set('Cache-Control', 'no-cache');
    if (outcome === 'send') return answer(response, id, cart);
    response.status(304).set('ETag', entityTag(current));
    return undefined;
  }

  @Get(':id/history')
  @Answers({ 200: historyView }, 404)
  async history(
    @Param('id', { schema: cartId }) id: string,
    @Query({ schema: historyQuery }) range: HistoryQuery,
    @Res({ passthrough: true }) response: Response,
  ) {
    const history = await this.carts.history(id, range);
    if (history === undefined) throw notFound('cart', id);
    response.set('ETag', entityTag(history.version));
    return { id, ...answerHistory(response, `/carts/${encodeURIComponent(id)}`, range, history) };
  }

  @Post(':id/items')
  @Answers({ 200: cartView }, 404, 409, 412, 422)
  @TakesConditions()
  @TakesIdempotencyKey(false)
  @HttpCode(200)
  async add(
    @Param('id', { schema: cartId }) id: string,
    @Body({ schema: itemBody }) item: ItemBody,
    @Headers('idempotency-key') header: string | undefined,
    @Conditions() conditions: Preconditions,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { cart, replayed } = await this.carts.add(id, item, conditions, keyOf(header));
    if (replayed) response.set('Idempotent-Replayed', 'true');
    return answer(response, id, cart);
  }

  @Delete(':id/items/:sku')
  @Answers({ 200: cartView }, 404, 409, 412, 422)
  @TakesConditions()
  @TakesIdempotencyKey(false)
  async remove(
    @Param('id', { schema: cartId }) id: string,
    @Param('sku', { schema: productId }) sku: string,
    @Query({ schema: removeQuery }) { quantity }: z.output<typeof removeQuery>,
    @Headers('idempotency-key') header: string | undefined,
    @Conditions() conditions: Preconditions,
    @Res({ passthrough: true }) response: Response,
  ) {
    const item = { productId: sku, quantity };
    const { cart, replayed } = await this.carts.remove(id, item, conditions, keyOf(header));
    if (replayed) response.set('Idempotent-Replayed', 'true');
    return answer(response, id, cart);
  }

  @Post(':id/confirm')
  @Answers({ 200: cartView }, 404, 409, 412, 422)
  @TakesConditions()
  @HttpCode(200)
  async confirm(
    @Param('id', { schema: cartId }) id: string,
    @Body({ schema: confirmBody }) body: z.output<typeof confirmBody>,
    @Conditions() conditions: Preconditions,
    @Res({ passthrough: true }) response: Response,
  ) {
    const cart = await this.carts.confirm(id, conditions, body);
    response.set('Link', `</orders/${cart.orderId}>; rel="related"`);
    return answer(response, id, cart);
  }
}

/** Unlike an order, a change of a cart may come without one. */
function keyOf(header: string | undefined): string | undefined {
  return header === undefined ? undefined : parseIdempotencyKey(header);
}

function answer(response: Response, id: string, cart: Cart) {
  response.set('ETag', entityTag(BigInt(cart.version)));
  return toRepresentation(id, cart);
}
