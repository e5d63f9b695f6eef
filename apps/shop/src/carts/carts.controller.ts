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
import { notFound, preconditionFailed } from '../http/problem.js';
import { parseIdempotencyKey } from '../orders/idempotency-key.js';
import { type Cart, toRepresentation } from './cart.js';
import { toHistoryEntry } from './cart-history.js';
import {
  cartId,
  cartQuery,
  confirmBody,
  historyQuery,
  type ItemBody,
  itemBody,
  removeQuery,
} from './cart.requests.js';
import { Carts } from './carts.js';

/** The entity tag of a cart is the version of its stream. */
@Controller('carts')
@UseInterceptors(DeadlineInterceptor)
export class CartsController {
  constructor(private readonly carts: Carts) {}

  @Post()
  async open(@Res({ passthrough: true }) response: Response) {
    const id = randomUUID();
    const { cart } = await this.carts.open(id);
    response.set('Location', `/carts/${id}`);
    return answer(response, id, cart);
  }

  /** For clients that choose the id, so that they may repeat the request. */
  @Put(':id')
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
  async history(
    @Param('id', { schema: cartId }) id: string,
    @Query({ schema: historyQuery }) range: z.output<typeof historyQuery>,
    @Res({ passthrough: true }) response: Response,
  ) {
    const history = await this.carts.history(id, range);
    if (history === undefined) throw notFound('cart', id);
    const events = history.events.map(toHistoryEntry);
    const last = events.at(-1)?.version;
    if (last !== undefined && BigInt(last) < history.version) {
      const next = new URLSearchParams({ after: String(last), limit: String(range.limit) });
      response.set('Link', `</carts/${encodeURIComponent(id)}/history?${next.toString()}>; rel="next"`);
    }
    response.set({ ETag: entityTag(history.version), 'Cache-Control': 'no-cache' });
    return { id, version: Number(history.version), events };
  }

  @Post(':id/items')
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
  @HttpCode(200)
  async confirm(
    @Param('id', { schema: cartId }) id: string,
    @Body({ schema: confirmBody }) { card }: z.output<typeof confirmBody>,
    @Conditions() conditions: Preconditions,
    @Res({ passthrough: true }) response: Response,
  ) {
    const cart = await this.carts.confirm(id, conditions, card);
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
