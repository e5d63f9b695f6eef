import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Put,
  Query,
  Req,
  Res,
  UseInterceptors,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import { z } from 'zod';
import { Conditions } from '../http/conditional.js';
import { entityTag, type Preconditions } from '../http/entity-tag.js';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { notFound, preconditionFailed } from '../http/problem.js';
import { linkNext, pageQuery } from '../http/paging.js';
import { announcePut, assertIdOfPath } from '../http/put.js';
import { text } from '../http/text.js';
import { Catalogue } from './catalogue.js';
import { type ProductBody, productBody, productId, toRepresentation } from './product.js';
import { Answers, TakesConditions } from '../openapi/answers.js';
import { productsView, productView } from '../openapi/views.js';

const listQuery = z.strictObject({ prefix: text(512).default(''), ...pageQuery.shape });

@Controller('products')
@UseInterceptors(DeadlineInterceptor)
export class ProductsController {
  constructor(private readonly catalogue: Catalogue) {}

  @Get()
  @Answers({ 200: productsView })
  async list(
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { products, cursor } = await this.catalogue.list(query);
    const { prefix, limit } = query;
    linkNext(response, '/products', { prefix, cursor, limit });
    response.set('Cache-Control', 'no-cache');
    return {
      products: products.map(({ id, product }) => toRepresentation(id, product)),
      cursor: cursor ?? null,
    };
  }

  @Get(':id')
  @Answers({ 200: productView, 304: 'It is as you have it.' }, 404, 412)
  @TakesConditions()
  async get(
    @Param('id', { schema: productId }) id: string,
    @Conditions() conditions: Preconditions,
    @Res({ passthrough: true }) response: Response,
  ) {
    const found = await this.catalogue.glance(id);
    if (found === undefined) throw notFound('product', id);
    const outcome = conditions.read(found.version);
    if (outcome === 'precondition-failed') throw preconditionFailed(found.version);
    response.set({ ETag: entityTag(found.version), 'Cache-Control': 'no-cache' });
    if (outcome === 'not-modified') {
      response.status(304);
      return undefined;
    }
    return toRepresentation(id, found.product);
  }

  @Put(':id')
  @Answers({ 200: productView, 201: productView }, 412)
  @TakesConditions()
  async put(
    @Param('id', { schema: productId }) id: string,
    @Body({ schema: productBody }) { id: idInBody, ...product }: ProductBody,
    @Conditions() conditions: Preconditions,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ) {
    assertIdOfPath(id, idInBody);
    announcePut(request, response, await this.catalogue.put(id, product, conditions));
    return toRepresentation(id, product);
  }

  @Delete(':id')
  @Answers({ 204: 'It is gone.' }, 404, 412)
  @TakesConditions()
  @HttpCode(204)
  async delete(
    @Param('id', { schema: productId }) id: string,
    @Conditions() conditions: Preconditions,
  ): Promise<void> {
    if (!(await this.catalogue.delete(id, conditions))) throw notFound('product', id);
  }
}
