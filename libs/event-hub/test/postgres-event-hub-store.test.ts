import { PgChannelStore, channelMigrations } from '@nestbox/channels';
import { PgEventHubStore, eventHubMigrations } from '@nestbox/event-hub';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';

let database: TestDatabase;
let postgres: Postgres;

beforeAll(async () => {
  database = await testDatabase();
  postgres = new Postgres(database.url);
});

afterAll(async () => {
  await postgres.close();
  await database.drop();
});

async function planOf(statement: string): Promise<string> {
  const rows = await postgres.query(`explain (costs off) ${statement}`);
  return rows.map((row) => String(row['QUERY PLAN'])).join('\n');
}

it('looks up the channels of a topic in an index, also among many', async () => {
  const channels = new PgChannelStore(postgres);
  const hub = new PgEventHubStore(postgres);
  await hub.init();
  await postgres.query(`
    insert into serverless.lambda_channels (channel_id, channel_name) select 'c' || i, 'n' from generate_series(1, 50000) i;
    insert into serverless.lambda_channel_subscriptions (channel_id, topic)
      select 'c' || (1 + i % 50000), 't' || (i % 997) from generate_series(1, 100000) i;
    analyze serverless.lambda_channels;
    analyze serverless.lambda_channel_subscriptions`);
  const plan = await planOf(
    `select s.topic as key, s.channel_id as value from serverless.lambda_channel_subscriptions s where s.topic = any (array['t7'])`,
  );
  expect(plan).toMatch(
    /Index Only Scan using lambda_channel_subscriptions_topic|Bitmap Index Scan on lambda_channel_subscriptions_topic/,
  );
  expect(plan).not.toContain('Seq Scan');
  expect(await hub.countForTopic('t7')).toBe((await hub.getChannelIdsForTopic('t7')).length);
  for (const [what, index] of [
    [`select from serverless.lambda_channels c where c.user_id = 'u'`, 'lambda_channels_user'],
    [
      `select from serverless.lambda_channels c where c.node_id = 'n' order by c.channel_id limit 10`,
      'lambda_channels_node',
    ],
    [
      `select from serverless.lambda_channels c where c.channel_id > 'c5' order by c.channel_id limit 10`,
      'lambda_channels_pkey',
    ],
  ] as const) {
    expect(await planOf(what)).toContain(index);
  }
  await postgres.query(`truncate serverless.lambda_channels cascade`);
  await hub.close();
  await channels.close();
}, 60_000);

it('joins the ambient transaction, and vanishes with its rollback', async () => {
  const channels = new PgChannelStore(postgres);
  const hub = new PgEventHubStore(postgres);
  await channels.addChannel({ channelId: 'stays', channelName: 'n', openingData: { a: [1] } });
  const attempt = postgres.transaction(async () => {
    await channels.addChannel({ channelId: 'goes', channelName: 'n' });
    await channels.setUserSession('goes', { userId: 'u' });
    expect(await hub.subscribe('t', 'goes')).toBe(true);
    expect(await hub.subscribe('t', 'stays')).toBe(true);
    expect((await hub.getChannelIdsForTopic('t')).toSorted()).toEqual(['goes', 'stays']);
    throw new Error('roll back');
  });
  await expect(attempt).rejects.toThrow('roll back');
  expect(await hub.getChannelIdsForTopic('t')).toEqual([]);
  await expect(channels.getChannelAndSession('goes')).rejects.toThrow('Channel not found: goes');
  await channels.setUserSession('stays', { userId: 'u' });
  const [row] = await postgres.query(
    `select jsonb_typeof(opening_data) as opening, jsonb_typeof(user_session) as session
       from serverless.lambda_channels where channel_id = 'stays'`,
  );
  expect(row).toEqual({ opening: 'object', session: 'object' });
});

it('subscribes nobody who is removed at the same time, and leaves nothing behind', async () => {
  const channels = new PgChannelStore(database.url);
  const hub = new PgEventHubStore(database.url);
  for (let round = 0; round < 10; round++) {
    const ids = Array.from({ length: 50 }, (_, i) => `r${round} ${i}`);
    await Promise.all(ids.map((channelId) => channels.addChannel({ channelId, channelName: 'n' })));
    await Promise.all([
      ...ids.flatMap((id) => ['a', 'b'].map((topic) => hub.subscribe(topic, id))),
      ...ids.map((id) => hub.unsubscribe('a', id)),
      channels.removeChannels(ids.toReversed()),
    ]);
    expect((await hub.getTopicsForChannels(ids)).size).toBe(0);
  }
  await hub.close();
  await channels.close();
}, 30_000);

it('works in a schema of any name, and says which command creates it where it may not', async () => {
  const schema = 'Shop "1" \\ %';
  const hub = new PgEventHubStore(postgres, schema, { migrate: false });
  await expect(hub.init()).rejects.toThrow('nestbox migrate run --lib channels');
  await channelMigrations(postgres, { schema }).run();
  await eventHubMigrations(postgres, { schema }).run();
  await hub.init();
  const channels = new PgChannelStore(postgres, schema, { migrate: false });
  await channels.addChannel({ channelId: 'c', channelName: 'n' });
  expect(await hub.subscribe('t', 'c')).toBe(true);
  expect(await hub.listTopics()).toEqual({ topics: ['t'] });
});

it('takes over tables that were made without its columns, with what is in them', async () => {
  const other = await testDatabase();
  const own = new Postgres(other.url);
  await own.query(`
    create schema serverless;
    create table serverless.lambda_channels (
      channel_id text primary key, channel_name text not null, created_at timestamptz not null default now(),
      opening_data jsonb not null default '{}', user_session jsonb, last_interaction timestamptz not null default now());
    create table serverless.lambda_channel_subscriptions (
      channel_id text not null references serverless.lambda_channels (channel_id) on delete cascade,
      topic text not null, primary key (channel_id, topic));
    insert into serverless.lambda_channels (channel_id, channel_name) values ('old', 'n');
    insert into serverless.lambda_channel_subscriptions values ('old', 't')`);
  const hub = new PgEventHubStore(own);
  expect(await hub.getChannelIdsForTopic('t')).toEqual(['old']);
  const channels = new PgChannelStore(own);
  expect((await channels.getChannelAndSession('old')).session).toBeNull();
  await channels.removeChannels(['old']);
  expect(await hub.getChannelIdsForTopic('t')).toEqual([]);
  await own.close();
  await other.drop();
});

it('starts any number of times at once on an empty database', async () => {
  const other = await testDatabase();
  const stores = Array.from({ length: 8 }, (_, i) =>
    i % 2 === 0 ? new PgEventHubStore(other.url) : new PgChannelStore(other.url),
  );
  await expect(Promise.all(stores.map((store) => store.init()))).resolves.toHaveLength(8);
  await Promise.all(stores.map((store) => store.close()));
  await other.drop();
}, 30_000);

it('lets no instance come back that has lost a part of its channels, and gives each id to one reaper', async () => {
  const one = new PgChannelStore(database.url);
  const two = new PgChannelStore(database.url);
  const ids = Array.from({ length: 2500 }, (_, i) => `held ${i}`);
  await one.heartbeat('dead', 1);
  await Promise.all(ids.map((channelId) => one.addChannel({ channelId, channelName: 'n', nodeId: 'dead' })));
  const first = await postgres.query('select removed from serverless.lambda_reap(1000)');
  expect(first).toHaveLength(1000);
  expect(await one.heartbeat('dead', 1)).toBe(false);
  const reaped = (await Promise.all([one, two, one, two].map((store) => store.reap()))).flat();
  await expect(one.count()).resolves.toBeGreaterThanOrEqual(0);
  const rest = (await one.reap()).concat(reaped).flatMap(({ channelIds }) => channelIds);
  const all = [...first.map((row) => String(row['removed'])), ...rest];
  expect(all.toSorted()).toEqual(ids.toSorted());
  // A channel whose owner was never registered goes, too.
  await one.addChannel({ channelId: 'orphan', channelName: 'n', nodeId: 'nobody' });
  await postgres.query('select serverless.lambda_adopt_orphans()');
  expect(await one.reap()).toEqual([{ nodeId: 'nobody', channelIds: ['orphan'] }]);
  await one.close();
  await two.close();
}, 30_000);
