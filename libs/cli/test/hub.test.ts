import { PgChannelStore, RedisChannelStore, type ChannelStore } from '@nestbox/channels';
import { PgEventHubStore, RedisEventHubStore, type EventHubStore } from '@nestbox/event-hub';
import { testDatabase, testRedis, type TestDatabase, type TestRedisSpace } from '@nestbox/testing';
import { run, type Ran } from './support/command.js';

let database: TestDatabase;
let redis: TestRedisSpace;

beforeAll(async () => {
  database = await testDatabase();
  redis = await testRedis();
});

afterAll(() => database.drop());

describe.each(['postgres', 'redis'] as const)('in %s', (kind) => {
  let channels: ChannelStore;
  let hub: EventHubStore;
  let place: string[];

  beforeAll(async () => {
    if (kind === 'postgres') {
      place = [];
      channels = new PgChannelStore(database.url);
      hub = new PgEventHubStore(database.url);
    } else {
      const prefix = redis.prefix.replace(/:$/, '');
      place = ['--store', 'redis', '--key-prefix', prefix];
      channels = new RedisChannelStore(redis.url, prefix);
      hub = new RedisEventHubStore(redis.url, prefix);
    }
    await channels.init();
    await hub.init();
  });

  afterAll(async () => {
    await hub.close();
    await channels.close();
  });

  function nestbox(...args: string[]): Promise<Ran> {
    return run([...args, ...place], { env: { DATABASE_URL: database.url, REDIS_URL: redis.url } });
  }

  it('says that there is nothing', async () => {
    expect(await nestbox('channels', 'list')).toMatchObject({
      code: 0,
      out: '',
      error: 'There are no such channels.',
    });
    expect((await nestbox('channels', 'list', '--json')).json()).toEqual({ channels: [], cursor: null });
    expect(await nestbox('topics', 'list')).toMatchObject({
      code: 0,
      out: '',
      error: 'There are no such topics.',
    });
    expect((await nestbox('topics', 'list', '--json')).json()).toEqual({ topics: [], cursor: null });
  });

  it('lists channels with their users', async () => {
    await channels.heartbeat('node-1', 60_000);
    await channels.addChannel({ channelId: 'c1', channelName: 'chat', nodeId: 'node-1' });
    await channels.addChannel({ channelId: 'c2', channelName: 'chat\u001B[2J' });
    await channels.setUserSession('c1', { userId: 'ada', role: 'admin' });
    const { channels: listed, cursor } = (await nestbox('channels', 'list', '--json')).json();
    expect(cursor).toBeNull();
    const sorted = listed.toSorted((a: { channelId: string }, b: { channelId: string }) =>
      a.channelId < b.channelId ? -1 : 1,
    );
    expect(sorted).toEqual([
      {
        channelId: 'c1',
        channelName: 'chat',
        nodeId: 'node-1',
        createdAt: expect.stringMatching(/Z$/),
        lastInteraction: expect.stringMatching(/Z$/),
        session: { userId: 'ada', role: 'admin' },
      },
      expect.objectContaining({ channelId: 'c2', nodeId: null, session: null }),
    ]);
    const { out } = await nestbox('channels', 'list');
    expect(out).toMatch(/^CHANNEL +NAME +INSTANCE +USER +OPENED +LAST SEEN\n/);
    expect(out).toMatch(/^c1 +chat +node-1 +ada +\d{4}-/m);
    expect(out).not.toContain('\u001B');
    expect((await nestbox('channels', 'list', '--name', 'chat', '--json')).json().channels).toHaveLength(1);
  });

  it('lists topics with how many channels they have', async () => {
    await hub.subscribe('orders.7', 'c1');
    await hub.subscribe('orders.7', 'c2');
    await hub.subscribe('news', 'c1');
    const { topics } = (await nestbox('topics', 'list', '--json')).json();
    expect(
      topics.toSorted((a: { channels: number }, b: { channels: number }) => a.channels - b.channels),
    ).toEqual([
      { topic: 'news', channels: 1 },
      { topic: 'orders.7', channels: 2 },
    ]);
    expect((await nestbox('topics', 'list', '--prefix', 'orders.')).out).toBe(
      'TOPIC     CHANNELS\norders.7         2',
    );
  });

  it('lists many, page by page', async () => {
    for (let i = 0; i < 30; i++) await channels.addChannel({ channelId: `many-${i}`, channelName: 'many' });
    const seen = new Set<string>();
    let cursor: string | null = null;
    do {
      const more: string[] = cursor === null ? [] : ['--cursor', cursor];
      const page = (
        await nestbox('channels', 'list', '--name', 'many', '--limit', '7', '--json', ...more)
      ).json();
      for (const { channelId } of page.channels) seen.add(channelId as string);
      ({ cursor } = page);
    } while (cursor !== null);
    expect(seen.size).toBe(30);
  });
});
