import { ChannelService, PgBackplane, PgChannelStore, type Frame } from '@nestbox/channels';
import { EventHubService, PgEventHubStore } from '@nestbox/event-hub';
import { Postgres } from '@nestbox/postgres';
import { eventually, testDatabase, type TestDatabase } from '@nestbox/testing';

let database: TestDatabase;

beforeAll(async () => {
  database = await testDatabase();
});

afterAll(async () => {
  await database.drop();
});

/** Every one of them would wait for one more connection, for ever. */
it('subscribes channels in as many transactions as there are connections', async () => {
  const postgres = new Postgres({ url: database.url, options: { max: 3 } });
  const channels = new ChannelService({
    store: new PgChannelStore(postgres),
    backplane: new PgBackplane(postgres, { name: 'bus' }),
  });
  const hub = new EventHubService({
    store: new PgEventHubStore(postgres),
    backplane: new PgBackplane(postgres, { name: 'hub' }),
    channels,
    cascades: true,
    topics: { '**': { history: { size: 10, ttl: '1m' } } },
  });
  await channels.init();
  await hub.init();
  const ids = Array.from({ length: 12 }, (_, i) => `channel ${i}`);
  const frames = new Map<string, Frame[]>(ids.map((id) => [id, []]));
  for (const channelId of ids) {
    const send = (frame: Frame): boolean => {
      frames.get(channelId)!.push(frame);
      return true;
    };
    await channels.open({ channelId, channelName: 'test', transport: { send, close: () => undefined } });
  }
  const position = await hub.publish('topic', 'before');
  const since = { epoch: position.epoch!, offset: position.offset! - 1 };

  let inside = 0;
  let open!: () => void;
  const everyConnectionIsTaken = new Promise<void>((resolve) => (open = resolve));
  const results = await Promise.all(
    ids.map((id, i) =>
      postgres.transaction(async () => {
        await postgres.query('select 1');
        if (++inside === 3) open();
        await everyConnectionIsTaken;
        return hub.subscribe('topic', id, i % 2 === 0 ? {} : { since });
      }),
    ),
  );
  // Whether all that was missed came cannot be said from inside of a transaction.
  expect(results[1]).toMatchObject({ recovered: false, missed: [{ data: 'before' }] });

  await hub.publish('topic', 'after');
  await eventually(() => {
    for (const [i, id] of ids.entries()) {
      const data = frames.get(id)!.map((frame) => JSON.parse(String(frame.data)) as { data: unknown });
      expect(data.map((one) => one.data)).toEqual(i % 2 === 0 ? ['after'] : ['before', 'after']);
    }
  });
  await hub.close();
  await channels.close();
  await postgres.close();
}, 20_000);
