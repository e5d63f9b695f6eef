import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { type Reply, type RunningShop, startShop } from './support/running-shop.js';

let database: TestDatabase;
let shop: RunningShop;

beforeAll(async () => {
  database = await testDatabase();
  shop = await startShop({ DATABASE_URL: database.url });
});

afterAll(async () => {
  await shop?.[Symbol.asyncDispose]();
  await database?.drop();
});

const pen = { name: 'Pen', price: 250, stock: 10 };

function faults(reply: Reply): unknown {
  expect(reply.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(reply.json).toMatchObject({
    status: reply.status,
    title: expect.any(String),
    type: expect.any(String),
  });
  return (reply.json as { errors?: unknown }).errors;
}

function countOf(replies: readonly Reply[], status: number): number {
  return replies.filter((reply) => reply.status === status).length;
}

describe('A product', () => {
  it('is created, read, replaced and deleted', async () => {
    const created = await shop.put('/products/pen', pen);
    expect(created.status).toBe(201);
    expect(created.json).toEqual({ id: 'pen', ...pen });
    expect(created.headers.get('etag')).toBe('"1"');
    expect(created.headers.get('location')).toBe('/products/pen');

    const read = await shop.get('/products/pen');
    expect(read.status).toBe(200);
    expect(read.json).toEqual({ id: 'pen', ...pen });
    expect(read.headers.get('etag')).toBe('"1"');

    const replaced = await shop.put('/products/pen', { ...pen, price: 300, tags: ['blue', 'fine'] });
    expect(replaced.status).toBe(200);
    expect(replaced.headers.get('etag')).toBe('"2"');
    expect((await shop.get('/products/pen')).text).toBe(replaced.text);

    expect((await shop.delete('/products/pen')).status).toBe(204);
    expect((await shop.get('/products/pen')).status).toBe(404);
    const again = await shop.delete('/products/pen');
    expect(again.status).toBe(404);
    expect(again.json).toMatchObject({ status: 404, detail: 'There is no product "pen".' });
  });

  it('never has an entity tag twice, even when it was deleted in between', async () => {
    const before = (await shop.put('/products/phoenix', pen)).headers.get('etag')!;
    await shop.delete('/products/phoenix');
    const recreated = await shop.put('/products/phoenix', pen);
    expect(recreated.status).toBe(201);
    expect(recreated.headers.get('etag')).not.toBe(before);
    expect((await shop.put('/products/phoenix', pen, { 'If-Match': before })).status).toBe(412);
  });

  it('can be sent back as it was read', async () => {
    await shop.put('/products/round-trip', { ...pen, description: 'x', category: 'y', tags: ['z'] });
    const read = await shop.get('/products/round-trip');
    const written = await shop.put('/products/round-trip', read.json, {
      'If-Match': read.headers.get('etag')!,
    });
    expect(written.status).toBe(200);
    expect(written.text).toBe(read.text);
  });

  it('is answered to HEAD without a body', async () => {
    await shop.put('/products/head', pen);
    const head = await shop.send('HEAD', '/products/head');
    expect([head.status, head.text, head.headers.get('etag')]).toEqual([200, '', '"1"']);
  });

  it.each([
    'ünïcode 🫖',
    'a/b',
    '100%',
    '_%_',
    `"quoted' \\ back`,
    'products:1',
    '?q=1#x',
    '__proto__',
    'x'.repeat(500),
  ])('can have the id %s', async (id) => {
    const path = `/products/${encodeURIComponent(id)}`;
    const created = await shop.put(path, pen);
    expect([created.status, created.json]).toEqual([201, { id, ...pen }]);
    expect((await shop.get(path)).json).toEqual({ id, ...pen });
    expect((await shop.get(created.headers.get('location')!)).json).toEqual({ id, ...pen });
    expect((await shop.delete(path)).status).toBe(204);
  });

  it.each([
    ['longer than a key', 'x'.repeat(513)],
    ['longer than a key, in bytes', 'ü'.repeat(257)],
    ['with a NUL', 'a\0b'],
  ])('cannot have an id %s', async (_name, id) => {
    const reply = await shop.put(`/products/${encodeURIComponent(id)}`, pen);
    expect(reply.status).toBe(400);
    expect(faults(reply)).toEqual([{ in: 'path', path: 'id', message: expect.any(String) }]);
  });

  it('cannot have an id that is no UTF-8', async () => {
    expect((await shop.get('/products/%ff')).status).toBe(400);
  });
});

describe('Conditions on a product', () => {
  it('let one of many writers through who saw the same state', async () => {
    const { headers } = await shop.put('/products/contended', pen);
    const etag = headers.get('etag')!;
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, price) =>
        shop.put('/products/contended', { ...pen, price }, { 'If-Match': etag }),
      ),
    );
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
    const refused = replies.filter(({ status }) => status === 412);
    expect(refused).toHaveLength(19);
    expect(refused[0]!.headers.get('etag')).toBe('"2"');
    expect(faults(refused[0]!)).toBeUndefined();
  });

  it('let one of many creators through', async () => {
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => shop.put('/products/first', pen, { 'If-None-Match': '*' })),
    );
    expect(countOf(replies, 201)).toBe(1);
    expect(countOf(replies, 412)).toBe(19);
  });

  it('do not hold up writers who have none', async () => {
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, price) => shop.put('/products/free-for-all', { ...pen, price })),
    );
    expect(countOf(replies, 201)).toBe(1);
    expect(countOf(replies, 200)).toBe(19);
    const tags = new Set(replies.map(({ headers }) => headers.get('etag')));
    expect(tags.size).toBe(20);
  });

  it('are those of RFC 9110', async () => {
    const path = '/products/conditional';
    const put = async (headers: Record<string, string>) => (await shop.put(path, pen, headers)).status;
    const remove = async (headers: Record<string, string>) => (await shop.delete(path, headers)).status;
    expect(await put({ 'If-Match': '*' })).toBe(412);
    expect(await put({ 'If-Match': '"1"' })).toBe(412);
    expect(await remove({ 'If-Match': '"1"' })).toBe(404);
    expect(await put({ 'If-None-Match': '"7"' })).toBe(201);
    expect(await put({ 'If-Match': 'W/"1"' })).toBe(412);
    expect(await put({ 'If-Match': '"7", "1"' })).toBe(200);
    expect(await put({ 'If-Match': '*' })).toBe(200);
    expect(await put({ 'If-None-Match': 'W/"3"' })).toBe(412);
    expect(await put({ 'If-Match': 'nonsense' })).toBe(400);
    expect(await remove({ 'If-Match': '"2"' })).toBe(412);
    expect(await remove({ 'If-Match': '"3"' })).toBe(204);
  });

  it('spare the client what it has', async () => {
    const path = '/products/cached';
    await shop.put(path, pen);
    const get = async (headers: Record<string, string>) => shop.get(path, headers);
    const known = await get({ 'If-None-Match': 'W/"9", W/"1"' });
    expect([known.status, known.text, known.headers.get('etag')]).toEqual([304, '', '"1"']);
    expect((await get({ 'If-None-Match': '*' })).status).toBe(304);
    expect((await get({ 'If-None-Match': '"2"' })).status).toBe(200);
    expect((await get({ 'If-Match': '"2"' })).status).toBe(412);
  });
});

describe('The list of products', () => {
  it('is read page by page, without missing or repeating one', async () => {
    const ids = Array.from({ length: 25 }, (_, i) => `page-${String(i).padStart(2, '0')}`);
    await Promise.all(ids.map((id) => shop.put(`/products/${id}`, pen)));
    const seen: string[] = [];
    let path: string | undefined = '/products?prefix=page-&limit=10';
    let pages = 0;
    while (path !== undefined) {
      const page: Reply = await shop.get(path);
      expect(page.status).toBe(200);
      seen.push(...(page.json as { products: { id: string }[] }).products.map(({ id }) => id));
      path = /^<(.+)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1];
      expect((page.json as { cursor: string | null }).cursor === null).toBe(path === undefined);
      pages++;
    }
    expect(seen).toEqual(ids);
    expect(pages).toBe(3);
  });

  it('takes a prefix to the letter', async () => {
    await Promise.all(
      ['wild%', 'wild_', 'wildcard'].map((id) => shop.put(`/products/${encodeURIComponent(id)}`, pen)),
    );
    const ids = async (prefix: string) =>
      (
        (await shop.get(`/products?prefix=${encodeURIComponent(prefix)}`)).json as {
          products: { id: string }[];
        }
      ).products.map(({ id }) => id);
    expect(await ids('wild%')).toEqual(['wild%']);
    expect(await ids('wild_')).toEqual(['wild_']);
    expect(await ids('wild')).toEqual(['wild%', 'wild_', 'wildcard']);
    expect(await ids('nothing like this')).toEqual([]);
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=501', 'limit'],
    ['limit=ten', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['cursor=nonsense', 'cursor'],
    ['prefix=a%00b', 'prefix'],
    ['lmit=5', 'lmit'],
  ])('is refused with the path where the query is %s', async (query, path) => {
    const reply = await shop.get(`/products?${query}`);
    expect(reply.status).toBe(400);
    expect(faults(reply)).toEqual([{ in: 'query', path, message: expect.any(String) }]);
  });
});

describe('A bad body', () => {
  it('is answered with every fault and its path', async () => {
    const reply = await shop.put('/products/bad', {
      name: '',
      price: 1.5,
      stock: -1,
      tags: ['ok', 7],
      prize: 1,
    });
    expect(reply.status).toBe(400);
    expect(faults(reply)).toEqual([
      { in: 'body', path: 'name', message: 'must not be empty.' },
      { in: 'body', path: 'tags[1]', message: 'must be a text.' },
      { in: 'body', path: 'price', message: expect.stringMatching(/whole number/) },
      { in: 'body', path: 'stock', message: expect.stringMatching(/whole number/) },
      { in: 'body', path: 'prize', message: expect.stringMatching(/not known/) },
    ]);
    expect((await shop.get('/products/bad')).status).toBe(404);
  });

  it.each([
    ['a list', '[]', 'body'],
    ['null', 'null', 'body'],
    ['another id', '{"id":"other","name":"x","price":1}', 'id'],
    ['a NUL in a text', '{"name":"a\\u0000b","price":1}', 'name'],
    ['half a character', '{"name":"a\\ud83d","price":1}', 'name'],
  ])('is refused where it is %s', async (_name, body, path) => {
    const reply = await shopRaw('PUT', '/products/bad', body);
    expect(reply.status).toBe(400);
    expect(((await reply.json()) as { errors: unknown }).errors).toEqual([
      { in: 'body', path, message: expect.any(String) },
    ]);
  });

  it('is refused where it is missing, no JSON, another type, or too large', async () => {
    const statuses = await Promise.all([
      shop.send('PUT', '/products/bad'),
      shopRaw('PUT', '/products/bad', '{"name":'),
      shopRaw('PUT', '/products/bad', 'name=x', 'application/x-www-form-urlencoded'),
      shopRaw('PUT', '/products/bad', JSON.stringify({ ...pen, description: 'x'.repeat(300_000) })),
    ]);
    expect(statuses.map(({ status }) => status)).toEqual([400, 400, 415, 413]);
    expect(statuses.map(({ headers }) => headers.get('content-type')?.split(';')[0])).toEqual(
      Array(4).fill('application/problem+json'),
    );
  });

  function shopRaw(method: string, path: string, body: string, type = 'application/json'): Promise<Response> {
    return fetch(shop.url + path, { method, body, headers: { 'Content-Type': type } });
  }
});

describe('Every answer', () => {
  it('tells browsers to be careful, and nobody what runs here', async () => {
    for (const path of ['/', '/products/none', '/nowhere']) {
      const { headers } = await shop.get(path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-powered-by')).toBeNull();
    }
  });

  it('to an unknown path is a problem, too', async () => {
    const reply = await shop.get('/nowhere');
    expect(reply.status).toBe(404);
    expect(faults(reply)).toBeUndefined();
  });

  it('at the root says what there is', async () => {
    const { json } = await shop.get('/', { Accept: 'application/json' });
    expect(Object.keys((json as { endpoints: object }).endpoints)).toContain('POST /orders');
  });
});
