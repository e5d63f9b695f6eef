import { randomUUID } from 'node:crypto';
import { compareUtf8 } from '@nestbox/core';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { ApiDocument } from './support/api-document.js';
import { CheckoutCustomer } from './support/checkout-customer.js';
import { type Reply, type RunningShop, type Send, startShop } from './support/running-shop.js';

let database: TestDatabase;
let shop: RunningShop;
let api: ApiDocument;

beforeAll(async () => {
  database = await testDatabase();
  shop = await startShop({ DATABASE_URL: database.url, PAYMENT_LATENCY: '1ms', CARRIER_LATENCY: '1ms' });
  api = new ApiDocument(
    (await shop.get('/openapi.json')).json as ConstructorParameters<typeof ApiDocument>[0],
  );
});

afterAll(async () => {
  await shop?.[Symbol.asyncDispose]();
  await database?.drop();
});

/** The routes of all controllers but the page's, as the shop has told when it started. */
function routes(): string[] {
  let controller = '';
  return shop.log.flatMap((line) => {
    controller = /^(\w+) \{.*\}:$/.exec(line)?.[1] ?? controller;
    const [, path, method] = /^Mapped \{(.+), (\w+)\} route$/.exec(line) ?? [];
    if (path === undefined || controller === 'PageController') return [];
    return [`${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`];
  });
}

/** Sends a request whose answer has to be as the document says. @returns the answer */
async function expectAnswer(status: number, method: string, path: string, send?: Send): Promise<Reply> {
  const reply = await shop.send(method, path, send);
  expect([`${method} ${path}`, reply.status, api.faultsOf(method, path, reply)]).toEqual([
    `${method} ${path}`,
    status,
    [],
  ]);
  return reply;
}

const key = () => ({ 'Idempotency-Key': randomUUID() });

describe('The OpenAPI document', () => {
  it('has every route, and no other', () => {
    expect(routes()).not.toEqual([]);
    expect([...api.operations.keys()].toSorted()).toEqual(routes().toSorted());
  });

  it('is of version 3, with a title', () => {
    expect(api.json.openapi).toMatch(/^3\.\d+\.\d+$/);
    expect(api.json.info).toMatchObject({ title: 'The Nestbox shop', version: expect.any(String) });
  });

  it('can be read at /docs without https, too: nothing of the page is asked for by another scheme', async () => {
    const { status, headers, text } = await shop.get('/docs', { Accept: 'text/html' });
    expect([status, headers.get('content-type')]).toEqual([200, expect.stringMatching(/^text\/html/)]);
    expect(headers.get('content-security-policy')).toMatch(/script-src 'self'/);
    expect(headers.get('content-security-policy')).not.toMatch(/upgrade-insecure-requests/);
    const sources = [...text.matchAll(/<(?:script|link)[^>]+(?:src|href)="([^"]+)"/g)].map(([, url]) => url!);
    expect(sources.length).toBeGreaterThan(3);
    for (const source of sources)
      expect((await shop.get(new URL(source, `${shop.url}/docs`).pathname)).status).toBe(200);
  });

  it('has no reference that leads nowhere', () => {
    expect(api.references.length).toBeGreaterThan(50);
    for (const reference of api.references) {
      expect([reference, typeof api.resolve(reference)]).toEqual([reference, 'object']);
    }
  });

  it('tells of each operation what it does, what it takes and what it answers', () => {
    const ids = new Set<string>();
    for (const [name, { operationId, summary, parameters = [], responses }] of api.operations) {
      expect([name, summary]).toEqual([name, expect.stringMatching(/\w/)]);
      ids.add(operationId);
      const inPath = [...name.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter!);
      const declared = parameters.filter((parameter) => parameter.in === 'path');
      expect([name, declared.map((parameter) => parameter.name).toSorted()]).toEqual([
        name,
        inPath.toSorted(compareUtf8),
      ]);
      expect([name, declared.every(({ required }) => required)]).toEqual([name, true]);
      const names = parameters.map((parameter) => `${parameter.in} ${parameter.name.toLowerCase()}`);
      expect([name, names]).toEqual([name, [...new Set(names)]]);
      for (const parameter of parameters)
        expect([name, parameter.schema]).toEqual([name, expect.any(Object)]);
      for (const [status, { description }] of Object.entries(responses)) {
        expect([name, status, description]).toEqual([
          name,
          expect.stringMatching(/^[2345]\d\d$/),
          expect.stringMatching(/\w/),
        ]);
      }
    }
    expect(ids.size).toBe(api.operations.size);
  });

  it('has the schemas that requests are checked with', () => {
    const schemaOf = (name: string) =>
      api.operations.get(name)!.requestBody!.content['application/json']!.schema;
    expect(schemaOf('PUT /products/{id}')).toMatchObject({
      required: ['name', 'price'],
      additionalProperties: false,
      properties: { stock: { type: 'integer', minimum: 0, maximum: 1_000_000_000, default: 0 } },
    });
    expect(schemaOf('POST /orders')).toMatchObject({
      properties: { items: { type: 'array', minItems: 1, maxItems: 100 } },
    });
    expect(schemaOf('PUT /customers/{id}')).toMatchObject({ properties: { email: { format: 'email' } } });
    const optional = [...api.operations].filter(([, { requestBody: body }]) => body?.required === false);
    expect(optional.map(([name]) => name).toSorted()).toEqual([
      'POST /carts/{id}/confirm',
      'POST /orders/{id}/packed',
    ]);
  });
});

describe('The answers', () => {
  it('about products and customers are as the document says', async () => {
    const body = { name: 'Pen', price: 250, stock: 10, tags: ['blue'] };
    await expectAnswer(201, 'PUT', '/products/pen', { body });
    await expectAnswer(200, 'PUT', '/products/pen', { body });
    await expectAnswer(400, 'PUT', '/products/pen', { body: {} });
    await expectAnswer(412, 'PUT', '/products/pen', { body, headers: { 'If-Match': '"77"' } });
    await expectAnswer(415, 'PUT', '/products/pen', { body, headers: { 'Content-Type': 'text/plain' } });
    await expectAnswer(413, 'PUT', '/products/pen', { body: { ...body, description: 'x'.repeat(300_000) } });
    const { headers } = await expectAnswer(200, 'GET', '/products/pen');
    await expectAnswer(304, 'GET', '/products/pen', { headers: { 'If-None-Match': headers.get('etag')! } });
    await expectAnswer(404, 'GET', '/products/none');
    await expectAnswer(200, 'GET', '/products?limit=1');
    await expectAnswer(400, 'GET', '/products?limit=x');
    await expectAnswer(412, 'DELETE', '/products/pen', { headers: { 'If-Match': '"77"' } });
    await expectAnswer(204, 'DELETE', '/products/pen');
    await expectAnswer(404, 'DELETE', '/products/pen');

    const ada = { name: 'Ada', email: 'ada@example.org' };
    await expectAnswer(201, 'PUT', '/customers/ada', { body: ada });
    await expectAnswer(200, 'PUT', '/customers/ada', { body: ada });
    await expectAnswer(412, 'PUT', '/customers/ada', { body: ada, headers: { 'If-None-Match': '*' } });
    await expectAnswer(200, 'GET', '/customers/ada');
    await expectAnswer(304, 'GET', '/customers/ada', { headers: { 'If-None-Match': '*' } });
    await expectAnswer(404, 'GET', '/customers/eve');
    await expectAnswer(200, 'GET', '/customers');
    await expectAnswer(200, 'GET', '/customers/ada/orders');
    await expectAnswer(404, 'GET', '/customers/eve/orders');
  });

  it('about carts, orders and their checkouts are as the document says', async () => {
    const customer = new CheckoutCustomer(shop);
    const productId = await customer.stocked(20);
    const cart = (await expectAnswer(201, 'POST', '/carts')).headers.get('location')!;
    await expectAnswer(201, 'PUT', '/carts/mine');
    await expectAnswer(200, 'PUT', '/carts/mine');
    await expectAnswer(409, 'POST', '/carts/mine/confirm');
    await expectAnswer(200, 'POST', `${cart}/items`, { body: { productId, quantity: 2 } });
    await expectAnswer(422, 'POST', `${cart}/items`, { body: { productId: 'none' } });
    await expectAnswer(404, 'POST', '/carts/none/items', { body: { productId } });
    await expectAnswer(200, 'DELETE', `${cart}/items/${productId}?quantity=1`);
    await expectAnswer(404, 'DELETE', `${cart}/items/none`);
    await expectAnswer(200, 'GET', cart);
    await expectAnswer(200, 'GET', `${cart}?version=1`);
    await expectAnswer(304, 'GET', cart, { headers: { 'If-None-Match': '*' } });
    await expectAnswer(404, 'GET', '/carts/none');
    await expectAnswer(422, 'POST', `${cart}/confirm`, { body: { customerId: 'nobody' } });
    const confirmed = await expectAnswer(200, 'POST', `${cart}/confirm`);
    await expectAnswer(409, 'POST', `${cart}/items`, { body: { productId } });
    await expectAnswer(200, 'GET', `${cart}/history`);

    const { orderId } = confirmed.json as { orderId: string };
    const order = `/orders/${orderId}`;
    const items = [{ productId, quantity: 1 }];
    await expectAnswer(201, 'POST', '/orders', { body: { items }, headers: key() });
    await expectAnswer(409, 'POST', '/orders', {
      body: { items: [{ productId, quantity: 99 }] },
      headers: key(),
    });
    await expectAnswer(422, 'POST', '/orders', {
      body: { items: [{ productId: 'x', quantity: 1 }] },
      headers: key(),
    });
    await expectAnswer(400, 'POST', '/orders', { body: { items } });
    await customer.until(orderId, 'paid');
    for (const path of [
      order,
      `${order}?version=1`,
      `${order}/history`,
      `${order}/steps`,
      `${order}/payments`,
    ]) {
      await expectAnswer(200, 'GET', path);
    }
    for (const path of ['', '/history', '/steps', '/payments'])
      await expectAnswer(404, 'GET', `/orders/none${path}`);
    await expectAnswer(409, 'POST', `${order}/retry`);
    await expectAnswer(202, 'POST', `${order}/packed`, { body: { by: 'Ada' } });
    await customer.until(orderId, 'shipped');
    await expectAnswer(409, 'POST', `${order}/cancel`);
    const other = await customer.order();
    await expectAnswer(200, 'POST', `/orders/${other}/cancel`);
    await expectAnswer(409, 'POST', `/orders/${other}/packed`);
    await expectAnswer(200, 'GET', '/orders');
    await expectAnswer(200, 'GET', '/sales');
  });

  it('about everything else are as the document says', async () => {
    await expectAnswer(201, 'PUT', '/settings/banner', { body: { text: 'Sale!' } });
    await expectAnswer(200, 'PUT', '/settings/banner', { body: null });
    await expectAnswer(200, 'GET', '/settings');
    await expectAnswer(204, 'DELETE', '/settings/banner');
    await expectAnswer(404, 'DELETE', '/settings/banner');
    await expectAnswer(201, 'POST', '/broadcast', { body: { data: 'Hello' } });
    await expectAnswer(201, 'POST', '/broadcast', { body: { topic: 'stock.pen', data: 'Hello' } });
    await expectAnswer(413, 'POST', '/broadcast', { body: { data: 'x'.repeat(1_200_000) } });
    await expectAnswer(400, 'POST', '/broadcast', { body: {} });
    for (const path of ['', '/live', '/ready']) await expectAnswer(200, 'GET', `/health${path}`);
  });
});

describe('The page of the document', () => {
  it('needs nothing from elsewhere, and no script in its text', async () => {
    const { status, text, headers } = await shop.get('/docs');
    expect(status).toBe(200);
    expect(headers.get('content-security-policy')).toContain("script-src 'self'");
    const sources = [...text.matchAll(/(?:src|href)=["']([^"'#]+)["']/g)].map(([, source]) => source!);
    expect(sources.length).toBeGreaterThanOrEqual(4);
    expect(text).not.toMatch(/<script(?![^>]*\ssrc=)/);
    for (const source of sources) {
      expect(source).toMatch(/^\.\/docs\//);
      const file = await shop.get(source.slice(1));
      expect([source, file.status]).toEqual([source, 200]);
    }
  });
});
