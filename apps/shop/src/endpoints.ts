/** What there is, for people who look around with curl. */
export const endpoints = {
  name: 'The Nestbox shop',
  endpoints: {
    'GET /products?prefix=&cursor=&limit=': 'the catalogue, page by page, in the order of the ids',
    'GET /products/:id': 'a product; its ETag is its version',
    'PUT /products/:id':
      'create or replace one: { name, price (in cents), stock?, description?, category?, tags? }',
    'DELETE /products/:id': 'remove one; like PUT, with If-Match or If-None-Match if you like',
    'POST /orders': 'order: { items: [{ productId, quantity }] }, with an Idempotency-Key header',
    'GET /orders/:id': 'an order',
    'POST /carts': 'open a shopping cart; or PUT /carts/:id with an id of your own',
    'GET /carts/:id': 'a cart as it is; with ?version=3, as it was after its third event',
    'GET /carts/:id/history?after=&limit=': 'what has happened to it',
    'POST /carts/:id/items': 'add { productId, quantity? }; once per Idempotency-Key, if you send one',
    'DELETE /carts/:id/items/:sku?quantity=': 'take some out, or all of them',
    'POST /carts/:id/confirm': 'make an order of it; like all of these, with If-Match if you like',
    'GET /sales?cursor=&limit=': 'what was sold, by product',
    'GET /settings': 'all settings',
    'PUT /settings/:name': 'set one to any JSON value',
    'DELETE /settings/:name': 'remove one',
    'GET /settings/stream': 'changes of settings as server-sent events',
    'GET /health': 'whether the shop and what it needs are up, with latencies',
    'GET /health/ready': 'whether to send requests here',
    'GET /ws':
      'a WebSocket: send { event: "join", data: { topic, since? } } and hear what is published there',
    'GET /events/:topic': 'the same as server-sent events; Last-Event-ID resumes',
    'POST /broadcast': 'say something to a topic: { topic?, data, except? }, or bytes with ?topic=',
  },
};
