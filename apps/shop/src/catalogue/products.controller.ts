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
import { notFound, preconditionFailed, ProblemError, validationProblem } from '../http/problem.js';
import { text, wholeNumberText } from '../http/text.js';
import { Catalogue } from './catalogue.js';
import { type ProductBody, productBody, productId, toRepresentation } from './product.js';

const MAX_LIMIT = 500;

const listQuery = z.strictObject({
  prefix: text(512).default(''),
  cursor: text(10_000)
    .transform((cursor) => (cursor === '' ? undefined : cursor))
    .optional(),
  limit: wholeNumberText(1, MAX_LIMIT).default(50),
});

@Controller('products')
@UseInterceptors(DeadlineInterceptor)
export class ProductsController {
  constructor(private readonly catalogue: Catalogue) {}

  @Get()
  async list(
    @Query({ schema: listQuery }) query: z.output<typeof listQuery>,
    @Res({ passthrough: true }) response: Response,
  ) {
    const { products, cursor } = await this.catalogue.list(query);
    if (cursor !== undefined) {
      const next = new URLSearchParams({ prefix: query.prefix, cursor, limit: String(query.limit) });
      response.set('Link', `</products?${next.toString()}>; rel="next"`);
    }
    response.set('Cache-Control', 'no-cache');
    return {
      products: products.map(({ id, product }) => toRepresentation(id, product)),
      cursor: cursor ?? null,
    };
  }

  @Get(':id')
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
  async put(
    @Param('id', { schema: productId }) id: string,
    @Body({ schema: productBody }) { id: idInBody, ...product }: ProductBody,
    @Conditions() conditions: Preconditions,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ) {
    if (idInBody !== undefined && idInBody !== id) {
      const message = `must be ${JSON.stringify(id)}, as in the path, or be left out.`;
      throw new ProblemError(validationProblem([{ in: 'body', path: 'id', message }]));
    }
    const { created, version } = await this.catalogue.put(id, product, conditions);
    response.status(created ? 201 : 200).set({ ETag: entityTag(version), 'Content-Location': request.path });
    if (created) response.set('Location', request.path);
    return toRepresentation(id, product);
  }

  @Delete(':id')
  @HttpCode(204)
  async delete(
    @Param('id', { schema: productId }) id: string,
    @Conditions() conditions: Preconditions,
  ): Promise<void> {
    if (!(await this.catalogue.delete(id, conditions))) throw notFound('product', id);
  }
}
