import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';
import { EventStream } from './support/event-stream.js';
import { type RunningShop, startShop } from './support/running-shop.js';

let database: TestDatabase;
/** Two instances on one database. */
let shops: [RunningShop, RunningShop];

beforeAll(async () => {
  database = await testDatabase();
  const env = { DATABASE_URL: database.url, STREAM_HEARTBEAT: '200ms' };
  shops = await Promise.all([startShop(env), startShop(env)]);
});

afterAll(async () => {
  await Promise.all((shops ?? []).map((shop) => shop[Symbol.asyncDispose]()));
  await database?.drop();
});

async function revision(shop = shops[0]): Promise<string> {
  return (await shop.get('/settings')).headers.get('last-event-id')!;
}

describe('Settings', () => {
  it.each([
    ['"dark"'],
    ['true'],
    ['0'],
    ['null'],
    ['[1,{"a":null}]'],
    ['{"text":"Sale!","until":"2027-01-01"}'],
  ])('can be %s', async (json) => {
    const name = `value ${json}`;
    const value: unknown = JSON.parse(json);
    const path = `/settings/${encodeURIComponent(name)}`;
    const put = await shops[0].put(path, value);
    expect([put.status, put.json]).toEqual([201, { name, value }]);
    expect((await shops[0].put(path, value)).status).toBe(200);
    expect((await shops[1].get('/settings')).json).toMatchObject({ [name]: value });
    expect((await shops[1].delete(path)).status).toBe(204);
    expect((await shops[1].delete(path)).status).toBe(404);
    expect((await shops[0].get('/settings')).json).not.toHaveProperty([name]);
  });

  it('are refused without a value, with one that cannot be stored, and without a sound name', async () => {
    expect((await shops[0].send('PUT', '/settings/none')).status).toBe(400);
    const nul = await shops[0].put('/settings/nul', { a: ['x\0'] });
    expect(nul.status).toBe(400);
    expect(nul.json).toMatchObject({ errors: [{ in: 'body', path: expect.stringMatching(/\.a\[0\]$/) }] });
    expect((await shops[0].put('/settings/%20', 1)).status).toBe(400);
  });

  it('have conditions, too', async () => {
    const { headers } = await shops[0].put('/settings/conditional', 1);
    expect((await shops[1].put('/settings/conditional', 2, { 'If-None-Match': '*' })).status).toBe(412);
    expect(
      (await shops[1].put('/settings/conditional', 2, { 'If-Match': headers.get('etag')! })).status,
    ).toBe(200);
    expect(
      (await shops[0].delete('/settings/conditional', { 'If-Match': headers.get('etag')! })).status,
    ).toBe(412);
  });
});

describe('The stream of settings', () => {
  it('has the changes made at every instance, in order', async () => {
    await using here = await EventStream.open(`${shops[0].url}/settings/stream`);
    await using there = await EventStream.open(`${shops[1].url}/settings/stream`);
    for (let i = 0; i < 10; i++) await shops[i % 2]!.put('/settings/counter', i);
    await shops[0].delete('/settings/counter');
    const expected = [
      ...Array.from({ length: 10 }, (_, value) => ({ event: 'set', name: 'counter', value })),
      { event: 'delete', name: 'counter' },
    ];
    for (const stream of [here, there]) {
      await eventually(() => expect(stream.changes).toEqual(expected));
      const ids = stream.events.flatMap(({ id }) => (id === undefined ? [] : [BigInt(id)]));
      expect(ids).toHaveLength(12);
      expect(ids.every((id, i) => i === 0 || id > ids[i - 1]!)).toBe(true);
    }
  });

  it('misses nothing that is changed once it has answered', async () => {
    for (let i = 0; i < 30; i++) {
      const name = `prompt-${i}`;
      await using stream = await EventStream.open(`${shops[i % 2]!.url}/settings/stream`);
      await shops[(i >> 1) % 2]!.put(`/settings/${name}`, i);
      await eventually(() => expect(stream.changes).toContainEqual({ event: 'set', name, value: i }));
    }
  });

  it('goes on where a client was that has seen no change yet', async () => {
    const first = await EventStream.open(`${shops[0].url}/settings/stream`);
    await eventually(() => expect(first.lastId).toBeDefined());
    await first[Symbol.asyncDispose]();
    await shops[1].put('/settings/meanwhile', 1);
    await using second = await EventStream.open(`${shops[0].url}/settings/stream`, {
      'Last-Event-ID': first.lastId!,
    });
    await eventually(() => expect(second.changes).toEqual([{ event: 'set', name: 'meanwhile', value: 1 }]));
  });

  it('goes on where the client was, at another instance', async () => {
    await using first = await EventStream.open(`${shops[0].url}/settings/stream`);
    await shops[0].put('/settings/resume', 1);
    await eventually(() => expect(first.changes).toHaveLength(1));
    await first[Symbol.asyncDispose]();
    await shops[0].put('/settings/resume', 2);
    await shops[1].put('/settings/resume', 3);
    await using second = await EventStream.open(`${shops[1].url}/settings/stream`, {
      'Last-Event-ID': first.lastId!,
    });
    await eventually(() =>
      expect(second.changes.map((change) => (change as { value: number }).value)).toEqual([2, 3]),
    );
  });

  it('starts where the settings were read', async () => {
    const from = await revision();
    await shops[0].put('/settings/since', 'read');
    await using stream = await EventStream.open(`${shops[1].url}/settings/stream?lastEventId=${from}`);
    await eventually(() => expect(stream.changes).toEqual([{ event: 'set', name: 'since', value: 'read' }]));
  });

  it('starts over with all settings where the client comes from another database', async () => {
    await shops[0].put('/settings/kept', 'value');
    await using stream = await EventStream.open(`${shops[0].url}/settings/stream`, {
      'Last-Event-ID': '999999999',
    });
    await eventually(() =>
      expect(stream.changes).toEqual([expect.objectContaining({ event: 'reset', kept: 'value' })]),
    );
    await shops[1].put('/settings/kept', 'changed');
    await eventually(() =>
      expect(stream.changes.at(-1)).toEqual({ event: 'set', name: 'kept', value: 'changed' }),
    );
    expect(Number(stream.lastId)).toBeLessThan(999999999);
  });

  it('refuses an id that is none of its own', async () => {
    for (const reply of [
      await shops[0].get('/settings/stream', { 'Last-Event-ID': 'x' }),
      await shops[0].get('/settings/stream?lastEventId=-1'),
    ]) {
      expect(reply.status).toBe(400);
      expect(reply.json).toMatchObject({ errors: [{ path: expect.stringMatching(/last-?event-?id/i) }] });
    }
  });

  it('says now and then that it is alive', async () => {
    await using stream = await EventStream.open(`${shops[0].url}/settings/stream`);
    await eventually(() =>
      expect(stream.events.filter(({ comment }) => comment === 'heartbeat').length).toBeGreaterThan(1),
    );
  });

  it('is taken down when the client goes', async () => {
    const streams = await Promise.all(
      Array.from({ length: 20 }, () => EventStream.open(`${shops[0].url}/settings/stream`)),
    );
    await eventually(() => expect(shops[0].log).toContain('A stream was opened; 20 are open.'));
    await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()));
    await eventually(() => expect(shops[0].log.at(-1)).toBe('A stream was closed; 0 are open.'));
  });

  it('ends when the shop stops', async () => {
    await using shop = await startShop({ DATABASE_URL: database.url });
    await using stream = await EventStream.open(`${shop.url}/settings/stream`);
    await shop.put('/settings/last', 'words');
    await eventually(() => expect(stream.changes).toHaveLength(1));
    const exit = shop.process.kill('SIGTERM');
    await stream.ended;
    expect(await exit).toEqual({ code: 0, signal: null });
  });
});
