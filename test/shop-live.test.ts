import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { eventually, startRedis, testDatabase, type TestDatabase, type TestRedis } from '@nestbox/testing';
import { Redis as IORedis } from 'ioredis';
import postgres from 'postgres';
import { EventStream } from './support/event-stream.js';
import { type Joined, LiveClient } from './support/live-client.js';
import { RunningShop, startShop } from './support/running-shop.js';
import { TcpProxy } from './support/tcp-proxy.js';

/** Two instances of the shop behind one another's back: who is connected to one hears of what happens at the other. */

const CLIENTS = 200;
const LEASE_MS = 3000;

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(async () => {
  await redis?.[Symbol.asyncDispose]();
});

describe.each(['PostgreSQL and Redis', 'PostgreSQL alone'])('Two shops on %s', (where) => {
  const withRedis = where.includes('Redis');
  let database: TestDatabase;
  let env: Record<string, string>;
  let shops: [RunningShop, RunningShop];
  const clients: LiveClient[] = [];

  beforeAll(async () => {
    database = await testDatabase();
    env = {
      DATABASE_URL: database.url,
      NODE_LEASE: `${LEASE_MS}ms`,
      ...(withRedis && { REDIS_URL: redis.url }),
    };
    shops = await Promise.all([startShop(env), startShop(env)]);
  }, 60_000);

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
  });

  afterAll(async () => {
    await Promise.all(shops.map((shop) => shop[Symbol.asyncDispose]()));
    await database.drop();
  });

  async function connect(shop: RunningShop): Promise<LiveClient> {
    const client = await LiveClient.open(shop.url);
    clients.push(client);
    return client;
  }

  async function broadcast(shop: RunningShop, body: object): Promise<number> {
    return (await shop.send('POST', '/broadcast', { body })).status;
  }

  it('tell exactly those who have joined, in order, but for the one who speaks', async () => {
    const all = await Promise.all(Array.from({ length: CLIENTS }, (_, i) => connect(shops[i % 2]!)));
    const topics = ['plain', 'with:colon', 'a*b', '{tag}', 'emoji 🦊'];
    await Promise.all(all.map((client, i) => client.join(topics[i % topics.length]!)));

    const speaker = all[0]!;
    for (let i = 0; i < 20; i++) {
      speaker.send('publish', { topic: topics[0], data: { from: 'speaker', i } });
      await Promise.all(
        topics.map((topic) => broadcast(shops[i % 2]!, { topic, data: { from: 'shop', i } })),
      );
    }

    const ofShop = Array.from({ length: 20 }, (_, i) => ({ from: 'shop', i }));
    const ofSpeaker = Array.from({ length: 20 }, (_, i) => ({ from: 'speaker', i }));
    const from = (client: LiveClient, topic: string, who: string) =>
      client.of(topic).filter((data) => (data as { from: string }).from === who);
    await eventually(
      () =>
        all.every(
          (client, i) => client.of(topics[i % topics.length]!).length >= (i % 5 === 0 && i > 0 ? 40 : 20),
        ),
      { timeoutMs: 20_000 },
    );
    for (const [i, client] of all.entries()) {
      const own = topics[i % topics.length]!;
      expect(from(client, own, 'shop')).toEqual(ofShop);
      expect(from(client, own, 'speaker')).toEqual(i % topics.length === 0 && i > 0 ? ofSpeaker : []);
      for (const other of topics) if (other !== own) expect(client.of(other)).toEqual([]);
    }
    // With a history, everybody sees the same order, whoever published where.
    const [first, ...others] = all.filter((_, i) => i % topics.length === 0).slice(1);
    for (const other of others) expect(other.of('plain')).toEqual(first!.of('plain'));
  }, 60_000);

  it('carry bytes and 300 kB as they are, and refuse what is over the limit', async () => {
    const topic = `large ${randomUUID()}`;
    const listeners = await Promise.all([connect(shops[0]), connect(shops[1])]);
    await Promise.all(listeners.map((client) => client.join(topic)));

    const text = 'ü🦊'.repeat(50_000);
    expect(await broadcast(shops[0], { topic, data: text })).toBe(201);
    const bytes = randomBytes(300_000);
    const sent = await fetch(`${shops[1].url}/broadcast?topic=${encodeURIComponent(topic)}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/octet-stream' },
      body: bytes,
    });
    expect(sent.status).toBe(201);
    expect(await broadcast(shops[0], { topic, data: 'x'.repeat(1_100_000) })).toBe(413);
    expect(await broadcast(shops[1], { topic, data: 'last' })).toBe(201);

    await eventually(() => listeners.every((client) => client.of(topic).length >= 2), { timeoutMs: 10_000 });
    for (const client of listeners) {
      expect(client.of(topic)).toEqual([text, 'last']);
      expect(client.binaries).toHaveLength(1);
      expect(client.binaries[0]!.equals(bytes)).toBe(true);
    }
  });

  it('show the stock as anybody buys, over WebSocket and server-sent events', async () => {
    const id = `live ${randomUUID()}`;
    await shops[0].put(`/products/${encodeURIComponent(id)}`, { name: 'Live', price: 100, stock: 3 });
    const client = await connect(shops[1]);
    await client.join(`stock.${id}`);
    await client.join('orders');
    await using stream = await EventStream.open(
      `${shops[1].url}/events/${encodeURIComponent(`stock.${id}`)}`,
    );

    const reply = await shops[0].order(randomUUID(), { items: [{ productId: id, quantity: 2 }] });
    expect(reply.status).toBe(201);
    await eventually(() => client.of(`stock.${id}`).length > 0 && client.of('orders').length > 0);
    expect(client.of(`stock.${id}`)).toEqual([{ id, stock: 1, price: 100, version: expect.any(String) }]);
    expect(client.of('orders')).toEqual([
      { id: (reply.json as { id: string }).id, items: [{ productId: id, quantity: 2 }], total: 200 },
    ]);
    const change = { event: `stock.${id}`, id, stock: 1, price: 100, version: expect.any(String) };
    await eventually(() => stream.changes.some((one) => (one as { stock?: number }).stock === 1));
    expect(stream.changes).toContainEqual(change);
  });

  it('tell of a new price, and of a product that is gone', async () => {
    const id = `live ${randomUUID()}`;
    const path = `/products/${encodeURIComponent(id)}`;
    const client = await connect(shops[1]);
    await client.join(`stock.${id}`);
    await shops[0].put(path, { name: 'Live', price: 100, stock: 3 });
    await shops[0].put(path, { name: 'Live', price: 120, stock: 3 });
    await shops[0].send('DELETE', path);
    await eventually(() => expect(client.of(`stock.${id}`)).toHaveLength(3));
    expect(client.of(`stock.${id}`)).toEqual([
      { id, stock: 3, price: 100, version: '1' },
      { id, stock: 3, price: 120, version: '2' },
      { id, stock: null, price: null, version: '3' },
    ]);
  });

  it('tell a client what is wrong with its message, and go on', async () => {
    const client = await connect(shops[0]);
    client.send('join', { topic: '' });
    client.send('join', { topic: 'x', since: { epoch: 'e', offset: -1 } });
    client.send('nothing', {});
    await client.join('still there');
    const errors = client.of('error').map((data) => (data as { message: string }).message);
    expect(errors).toEqual(['data.topic must not be empty.', expect.stringContaining('data.since.offset')]);
    expect(await broadcast(shops[0], { topic: 'x' })).toBe(400);
  });

  it('find nothing wrong with clients that hang up while they join', async () => {
    const before = shops[0].errors.length;
    for (let i = 0; i < 10; i++) {
      const client = await connect(shops[0]);
      for (let topic = 0; topic < 20; topic++) client.send('join', { topic: `left-${topic}` });
      // It is gone after another number of answers each time.
      await eventually(() => client.messages.length >= i, { intervalMs: 1 });
      await client.close();
    }
    const last = await connect(shops[0]);
    await last.join('still there');
    await eventually(async () => {
      const { json } = await shops[0].get('/health');
      expect(json).toMatchObject({ details: { channels: { channels: 1 } } });
    });
    expect(shops[0].errors.slice(before)).toEqual([]);
  });

  it('let clients of a killed instance go on at the other, with exactly what they have missed', async () => {
    const victim = await startShop(env);
    const topic = `resumed ${randomUUID()}`;
    const away = await Promise.all(Array.from({ length: 20 }, () => connect(victim)));
    await Promise.all(away.map((client) => client.join(topic)));
    await broadcast(victim, { topic, data: 0 });
    await eventually(() => away.every((client) => client.of(topic).length === 1));

    const killedAt = performance.now();
    await victim.process.kill();
    for (let i = 1; i <= 30; i++) await broadcast(shops[i % 2]!, { topic, data: i });
    const back = await Promise.all(
      away.map(async (client) => {
        const again = await connect(shops[1]);
        const joined = await again.join(topic, client.positionIn(topic));
        return { again, joined };
      }),
    );
    const missed = Array.from({ length: 30 }, (_, i) => i + 1);
    for (const { again, joined } of back) {
      expect({ recovered: joined.recovered, missed: joined.missed }).toEqual({ recovered: true, missed: 30 });
      expect(again.of(topic)).toEqual(missed);
    }
    // Its channels go within the lease; the poll of the others comes on top.
    const ids = away.map(({ channelId }) => channelId);
    await eventually(async () => (await present(ids)) === 0, { timeoutMs: LEASE_MS * 3 });
    expect(performance.now() - killedAt).toBeLessThan(LEASE_MS * 3);
  }, 60_000);

  it('say so when the messages that a client has missed are no longer kept', async () => {
    const topic = `trimmed ${randomUUID()}`;
    const client = await connect(shops[0]);
    await client.join(topic);
    await broadcast(shops[0], { topic, data: 'seen' });
    await eventually(() => client.of(topic).length === 1);
    const seen = client.positionIn(topic);
    await client.close();
    // The shop keeps 200.
    for (let i = 0; i < 210; i += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, j) => broadcast(shops[1], { topic, data: i + j })));
    }
    const again = await connect(shops[1]);
    const joined = await again.join(topic, seen);
    expect(joined).toMatchObject({ recovered: false, missed: 200 });
  }, 60_000);

  it('miss nothing while the link of one is cut for 5 seconds and publishing goes on at the other', async () => {
    const target = new URL(withRedis ? redis.url : database.url);
    await using link = await TcpProxy.to(Number(target.port));
    const through: Record<string, string> = withRedis
      ? { REDIS_URL: link.url(redis.url) }
      : { DATABASE_URL: link.url(database.url) };
    await using cut = await startShop({ ...env, ...through, NODE_LEASE: '30s' });
    const topic = `cut ${randomUUID()}`;
    const client = await connect(cut);
    await client.join(topic);
    await broadcast(shops[0], { topic, data: 0 });
    await eventually(() => client.of(topic).length === 1);

    link.cut();
    const until = performance.now() + 5000;
    let published = 0;
    const statuses = new Set<unknown>();
    while (performance.now() < until) {
      expect(await broadcast(shops[0], { topic, data: ++published })).toBe(201);
      const { json } = await cut.get('/health');
      const { details } = json as { details?: Record<string, { status: string }> };
      if (details?.['eventHub'] !== undefined) statuses.add(details['eventHub'].status);
      await once(AbortSignal.timeout(100), 'abort');
    }
    link.heal();
    await eventually(() => client.of(topic).length === published + 1, { timeoutMs: 15_000 });
    expect(client.of(topic)).toEqual(Array.from({ length: published + 1 }, (_, i) => i));
    expect(client.closedWith).toBeUndefined();
    expect([...statuses]).toContain('degraded');
    expect((await cut.get('/health/ready')).status).toBe(200);
    await eventually(async () => (await cut.get('/health')).status === 200, { timeoutMs: 15_000 });
  }, 60_000);

  it('leave nothing behind of those who went', async () => {
    const some = await Promise.all(Array.from({ length: 10 }, (_, i) => connect(shops[i % 2]!)));
    const joined: Joined[] = await Promise.all(some.map((client) => client.join('left')));
    await Promise.all(some.map((client) => client.close()));
    const ids = joined.map(({ channelId }) => channelId);
    expect(ids.every((id) => id !== '')).toBe(true);
    await eventually(async () => (await present(ids)) === 0);
  });

  /** How many of these channels are known anywhere. */
  async function present(ids: string[]): Promise<number> {
    if (withRedis) {
      const client = new IORedis(redis.url);
      const found = await client.exists(...ids.flatMap((id) => [`shop:channel:${id}`, `shop:subs:${id}`]));
      client.disconnect();
      return found;
    }
    const sql = postgres(database.url, { max: 1 });
    const rows = await sql`
      select from serverless.lambda_channels where channel_id = any(${ids})
      union all
      select from serverless.lambda_channel_subscriptions where channel_id = any(${ids})`;
    await sql.end({ timeout: 5 });
    return rows.length;
  }
});
