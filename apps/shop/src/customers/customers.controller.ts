import { Body, Controller, Get, Param, Put, Query, Req, Res, UseInterceptors } from '@nestjs/common';
import type { Request, Response } from 'express';
import { Conditions } from '../http/conditional.js';
import { DeadlineInterceptor } from '../http/deadline.interceptor.js';
import { entityTag, type Preconditions } from '../http/entity-tag.js';
import { linkNext, type PageQuery, pageQuery } from '../http/paging.js';
import { notFound, preconditionFailed } from '../http/problem.js';
import { announcePut, assertIdOfPath } from '../http/put.js';
import { toRepresentation as toOrderRepresentation } from '../orders/order.js';
import { Orders } from '../orders/orders.js';
import { type CustomerBody, customerBody, customerId, toRepresentation } from './customer.js';
import { Customers } from './customers.js';
import { Answers, TakesConditions } from '../openapi/answers.js';
import { accountView, customersView, customerView } from '../openapi/views.js';

/** Who orders. The entity tag of a customer is its version. */
@Controller('customers')
@UseInterceptors(DeadlineInterceptor)
export class CustomersController {
  constructor(
    private readonly customers: Customers,
    private readonly orders: Orders,
  ) {}

  @Get()
  @Answers({ 200: customersView })
  async list(@Query({ schema: pageQuery }) query: PageQuery, @Res({ passthrough: true }) response: Response) {
    const { customers, cursor } = await this.customers.list(query);
    linkNext(response, '/customers', { cursor, limit: query.limit });
    response.set('Cache-Control', 'no-cache');
    return {
      customers: customers.map((customer) => toRepresentation(customer.id, customer)),
      cursor: cursor ?? null,
    };
  }

  @Get(':id')
  @Answers({ 200: customerView, 304: 'It is as you have it.' }, 404, 412)
  @TakesConditions()
  async get(
    @Param('id', { schema: customerId }) id: string,
    @Conditions() conditions: Preconditions,
    @Res({ passthrough: true }) response: Response,
  ) {
    const found = await this.customers.find(id);
    if (found === undefined) throw notFound('customer', id);
    const version = BigInt(found.version);
    const outcome = conditions.read(version);
    if (outcome === 'precondition-failed') throw preconditionFailed(version);
    response.set({ ETag: entityTag(version), 'Cache-Control': 'no-cache' });
    if (outcome === 'send') return toRepresentation(id, found);
    response.status(304);
    return undefined;
  }

  @Put(':id')
  @Answers({ 200: customerView, 201: customerView }, 412)
  @TakesConditions()
  async put(
    @Param('id', { schema: customerId }) id: string,
    @Body({ schema: customerBody }) { id: idInBody, ...customer }: CustomerBody,
    @Conditions() conditions: Preconditions,
    @Req() request: Request,
    @Res({ passthrough: true }) response: Response,
  ) {
    assertIdOfPath(id, idInBody);
    announcePut(request, response, await this.customers.put(id, customer, conditions));
    return toRepresentation(id, customer);
  }

  /** The account: what the customer has ordered, the newest first. */
  @Get(':id/orders')
  @Answers({ 200: accountView }, 404)
  async ordersOf(
    @Param('id', { schema: customerId }) id: string,
    @Query({ schema: pageQuery }) query: PageQuery,
    @Res({ passthrough: true }) response: Response,
  ) {
    if ((await this.customers.find(id)) === undefined) throw notFound('customer', id);
    const page = await this.orders.ofCustomer(id, query);
    const path = `/customers/${encodeURIComponent(id)}/orders`;
    linkNext(response, path, { cursor: page.cursor, limit: query.limit });
    response.set('Cache-Control', 'no-cache');
    return {
      id,
      orders: page.map((order) => ({ ...toOrderRepresentation(order), status: order.status })),
      cursor: page.cursor ?? null,
    };
  }
}
