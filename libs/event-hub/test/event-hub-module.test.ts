import { ChannelModule, ChannelService, getChannelsToken } from '@nestbox/channels';
import {
  EventHubModule,
  EventHubService,
  InjectEventHub,
  getEventHubToken,
  type EventHubModuleOptions,
} from '@nestbox/event-hub';
import { Postgres, PostgresModule } from '@nestbox/postgres';
import { RedisModule } from '@nestbox/redis';
import {
  eventually,
  testDatabase,
  testRedis,
  type TestDatabase,
  type TestRedisSpace,
} from '@nestbox/testing';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { FakeStore } from './support/fake-channels.js';
import { FakeBackplane } from './support/fake-network.js';
import { startApp } from './support/start-app.js';

interface Topics {
  orders: number;
}

@Injectable()
class Consumer {
  constructor(
    readonly hub: EventHubService<Topics>,
    @InjectEventHub('admin') readonly admin: EventHubService,
  ) {}
}

describe('EventHubModule', () => {
  let database: TestDatabase;
  let redis: TestRedisSpace;
  beforeAll(async () => {
    [database, redis] = await Promise.all([testDatabase(), testRedis()]);
  });
  afterAll(() => database.drop());

  it('gives the hub to everybody, by its class and by its name', async () => {
    const app = await startApp({
      imports: [
        EventHubModule.forRoot({ store: 'memory', maxPayload: 10 }),
        EventHubModule.forRootAsync({
          name: 'admin',
          useFactory: async () => ({ store: 'memory' as const }),
        }),
      ],
      providers: [Consumer],
    });
    const { hub, admin } = app.get(Consumer);
    expect(app.get(getEventHubToken())).toBe(hub);
    expect(app.get(getEventHubToken('admin'))).toBe(admin);
    expect(hub.maxPayload).toBe(10);
    expect(await hub.publish('orders', 1)).toEqual({ local: 0 });
    await app.close();
    await app.close();
    await expect(hub.publish('orders', 1)).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('can be closed when it was never started', async () => {
    const app = await Test.createTestingModule({
      imports: [ChannelModule.forRoot({ store: 'memory' }), EventHubModule.forRoot({ store: 'memory' })],
    }).compile();
    await app.close();
    await expect(app.close()).resolves.toBeUndefined();
  });

  it('takes a store and a backplane of your own, and closes them unless it is told not to', async () => {
    const store = new FakeStore();
    const kept = await startApp({
      imports: [EventHubModule.forRoot({ store, backplane: new FakeBackplane(), closeStore: false })],
    });
    await kept.close();
    expect(store.isClosed).toBe(false);
    const backplane = new FakeBackplane();
    const app = await startApp({ imports: [EventHubModule.forRoot({ store, backplane })] });
    await app.close();
    expect(store.isClosed).toBe(true);
    expect(backplane.calls).toContain('close');
  });

  it('goes on trying to start, and gives up after the time it was given', async () => {
    const backplane = new FakeBackplane();
    backplane.openFailures = 2;
    const app = await startApp({ imports: [EventHubModule.forRoot({ store: new FakeStore(), backplane })] });
    expect(app.get(EventHubService).backplane).toBe(backplane);
    await app.close();

    const never = new FakeBackplane();
    never.openFailures = Infinity;
    const starting = startApp({
      imports: [EventHubModule.forRoot({ store: new FakeStore(), backplane: never, startTimeout: 200 })],
    });
    await expect(starting).rejects.toThrow('nobody there');

    const later = new FakeBackplane();
    later.openFailures = 1;
    const started = await startApp({
      imports: [EventHubModule.forRoot({ store: new FakeStore(), backplane: later, startTimeout: false })],
    });
    await eventually(() => expect(later.receiver).toBeDefined());
    await started.close();
  });

  it.each<[object, string]>([
    [{ store: 'mongo' }, "store: must be 'postgres', 'redis', 'memory', or an EventHubStore."],
    [{ store: {} }, 'store: must be'],
    [{ store: 'memory', backplane: 'nats' }, 'backplane: must be'],
    [{ store: 'memory', channels: 'main' }, "channels: there is no ChannelModule of the name 'main'"],
    [{ store: 'memory', maxPayload: 0 }, 'maxPayload: must be'],
    [{ store: 'memory', startTimeout: 'soon' }, 'startTimeout: '],
    [{ store: 'memory', backplane: 'redis' }, 'connection: there is no RedisModule.'],
    [{ store: 'postgres' }, "subscriptions in 'postgres', and the ChannelModule its channels in 'memory'"],
  ])('refuses %j', async (options, problem) => {
    const starting = startApp({ imports: [EventHubModule.forRoot(options as EventHubModuleOptions)] });
    await expect(starting).rejects.toThrow(problem);
  });

  it('carries topics over PostgreSQL between two applications', async () => {
    const start = () =>
      startApp(
        {
          imports: [
            EventHubModule.forRoot({ store: 'postgres', schema: 'app' }),
            PostgresModule.forRoot({ url: database.url }),
          ],
        },
        ChannelModule.forRoot({ store: 'postgres', schema: 'app' }),
      );
    const [one, two] = [await start(), await start()];
    const got = await join(two.get(ChannelService), two.get(EventHubService));
    const rolledBack = one.get(Postgres).transaction(async () => {
      await one.get(EventHubService).publish('t', 'never');
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    await one.get(EventHubService).publish('t', 'now');
    await eventually(() => expect(got).toEqual(['{"event":"t","data":"now"}']));
    await Promise.all([one.close(), two.close()]);
  });

  it('carries topics over Redis, and waits for the transactions of PostgreSQL', async () => {
    const keyPrefix = `${redis.prefix}hub`;
    const start = () =>
      startApp(
        {
          imports: [
            RedisModule.forRoot({ url: redis.url, name: 'main' }),
            PostgresModule.forRoot({ url: database.url }),
            EventHubModule.forRoot({ store: 'redis', keyPrefix, connection: 'main', channels: 'live' }),
          ],
        },
        ChannelModule.forRoot({ store: 'redis', keyPrefix, connection: 'main', name: 'live' }),
      );
    const [one, two] = [await start(), await start()];
    const got = await join(two.get<ChannelService>(getChannelsToken('live')), two.get(EventHubService));
    const rolledBack = one.get(Postgres).transaction(async () => {
      await one.get(EventHubService).publish('t', 'never');
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    await one.get(Postgres).transaction(() => one.get(EventHubService).publish('t', 'now'));
    await eventually(() => expect(got).toEqual(['{"event":"t","data":"now"}']));
    await Promise.all([one.close(), two.close()]);
  });

  async function join(channels: ChannelService, hub: EventHubService): Promise<string[]> {
    const got: string[] = [];
    const { id } = await channels.open({
      channelName: 'test',
      transport: { send: ({ data }) => void got.push(data.toString()), close: () => undefined },
    });
    await hub.subscribe('t', id);
    return got;
  }
});
