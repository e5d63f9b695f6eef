import { RedisBackplane, RedisChannelStore, type ChannelService, type LocalChannel } from '@nestbox/channels';
import { Redis } from '@nestbox/redis';
import { eventually, startRedis, type TestRedis } from '@nestbox/testing';
import { jest } from '@jest/globals';
import fc from 'fast-check';
import { Instances, RecordedTransport, type Backend } from './support/instances.js';

interface Connection {
  service: ChannelService;
  channel: LocalChannel;
  transport: RecordedTransport;
}

async function connect(service: ChannelService, channelId: string): Promise<Connection> {
  const transport = new RecordedTransport();
  return { service, transport, channel: await service.open({ channelId, channelName: 'test', transport }) };
}

type Publish = ChannelService['backplane']['publish'];

/** Replaces how an instance tells others. @param instead default: nothing is told */
function onPublish(
  service: ChannelService,
  instead: (publish: Publish, ...args: Parameters<Publish>) => ReturnType<Publish> = async () => undefined,
): Disposable {
  const { backplane } = service;
  const publish = backplane.publish.bind(backplane);
  const spy = jest.spyOn(backplane, 'publish').mockImplementation((...args) => instead(publish, ...args));
  return { [Symbol.dispose]: () => spy.mockRestore() };
}

describe.each<Backend>(['memory', 'postgres', 'redis'])(
  'A channel that is opened again, on %s',
  (backend) => {
    const instances = new Instances(backend);
    let one: ChannelService;
    let two: ChannelService;
    let three: ChannelService;
    let ids = 0;

    beforeAll(async () => {
      await instances.open();
      one = await instances.add();
      two = await instances.add();
      three = await instances.add();
    });

    afterAll(() => instances.close());

    async function expectOnly(
      { service, transport, channel }: Connection,
      others: Connection[],
    ): Promise<void> {
      await eventually(() => {
        expect(others.map((other) => other.transport.closedWith?.code)).toEqual(others.map(() => 4000));
      });
      expect(transport.closedWith).toBeUndefined();
      expect(service.get(channel.id)).toBe(channel);
      expect((await three.store.locate([channel.id])).get(channel.id)).toBe(service.nodeId);
    }

    it('is not ended by an order that comes when it is the newest again', async () => {
      const id = `back ${++ids}`;
      const first = await connect(two, id);
      const late: (() => ReturnType<Publish>)[] = [];
      let second: Connection;
      {
        using _ = onPublish(one, async (publish, message) => {
          late.push(() => publish(message));
          return undefined;
        });
        second = await connect(one, id);
      }
      const third = await connect(two, id);
      expect(late).toHaveLength(1);
      const locate = jest.spyOn(two.store, 'locate');
      await late[0]!();
      await eventually(() => locate.mock.calls.some(([asked]) => asked.includes(id)));
      await Promise.all(locate.mock.results.map(({ value }) => value));
      await new Promise(setImmediate);
      locate.mockRestore();
      await expectOnly(third, [first, second]);
    });

    it('stays when the older connection is removed only then', async () => {
      const id = `late removal ${++ids}`;
      const older = await connect(one, id);
      const remove = one.store.removeChannels.bind(one.store);
      let isRemoved = false;
      const spy = jest.spyOn(one.store, 'removeChannels').mockImplementation(async (...args) => {
        newer ??= await connect(two, id);
        await remove(...args);
        isRemoved = true;
      });
      let newer: Connection | undefined;
      older.channel.close();
      await eventually(() => isRemoved);
      spy.mockRestore();
      await expectOnly(newer!, []);
      expect(await three.send(id, 'hi')).toBe('remote');
      await eventually(() => newer!.transport.frames.length === 1);
    });

    it('is ended by the instance that could not be told at once', async () => {
      const id = `untold ${++ids}`;
      const older = await connect(one, id);
      let failures = 0;
      using _ = onPublish(two, async (publish, message) => {
        if (failures++ < 2) throw new Error('as planned');
        return publish(message);
      });
      const newer = await connect(two, id);
      await expectOnly(newer, [older]);
    });

    it('leaves one connection, that of its owner, when many come at once', async () => {
      const at = fc.array(fc.constantFrom(0, 1, 2), { minLength: 2, maxLength: 8 });
      await fc.assert(
        fc.asyncProperty(at, fc.boolean(), async (places, closesOne) => {
          const id = `many ${++ids}`;
          const before = closesOne ? await connect(one, id) : undefined;
          const opening = places.map((place) => connect([one, two, three][place]!, id));
          before?.channel.close();
          const all = await Promise.all(opening);
          await eventually(async () => {
            const open = all.filter(({ transport }) => transport.closedWith === undefined);
            expect(open).toHaveLength(1);
            const [{ service, channel }] = open as [Connection];
            expect(service.get(id)).toBe(channel);
            expect((await three.store.locate([id])).get(id)).toBe(service.nodeId);
          });
        }),
        { numRuns: 20 },
      );
    });

    it('goes on with the older connection when the newer one cannot be opened', async () => {
      const id = `goes on ${++ids}`;
      const older = await connect(one, id);
      const transport = new RecordedTransport();
      await expect(one.open({ channelId: id, channelName: '', transport })).rejects.toThrow('channelName');
      const spy = jest.spyOn(one.store, 'addChannel').mockRejectedValue(new Error('as planned'));
      await expect(one.open({ channelId: id, channelName: 'test', transport })).rejects.toThrow('as planned');
      spy.mockRestore();
      await expectOnly(older, []);
      expect(await two.send(id, 'hi')).toBe('remote');
      await eventually(() => older.transport.frames.length === 1);
    });

    it('stays when it is disconnected before it is open, which ends only what nobody holds', async () => {
      const id = `disconnected ${++ids}`;
      await two.store.addChannel({ channelId: id, channelName: 'left over' });
      expect(await one.disconnect(id)).toBe('gone');
      expect((await three.store.locate([id])).size).toBe(0);
      const add = two.store.addChannel.bind(two.store);
      const spy = jest.spyOn(two.store, 'addChannel').mockImplementation(async (channel) => {
        const owner = await add(channel);
        expect(await two.disconnect(id)).toBe('gone');
        return owner;
      });
      const connection = await connect(two, id);
      spy.mockRestore();
      await expectOnly(connection, []);
    });

    it('keeps no row when its session cannot be set', async () => {
      const id = `no session ${++ids}`;
      const spy = jest.spyOn(two.store, 'setUserSession').mockRejectedValue(new Error('as planned'));
      const transport = new RecordedTransport();
      const opening = two.open({ channelId: id, channelName: 'test', transport, session: { userId: 'a' } });
      await expect(opening).rejects.toThrow('as planned');
      spy.mockRestore();
      await eventually(async () => expect((await three.store.locate([id])).size).toBe(0));
    });
  },
);

describe('An instance whose link was cut', () => {
  let server: TestRedis;
  let redis: Redis;
  let instances: Instances;

  beforeEach(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
    instances = new Instances('memory');
  });

  afterEach(async () => {
    await instances.close();
    await redis.close();
    await server[Symbol.asyncDispose]();
  });

  const cut = (): Promise<unknown> => redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');

  it('ends what others have taken over meanwhile as soon as it is back', async () => {
    const add = (): Promise<ChannelService> => instances.add({ backplane: new RedisBackplane(redis) });
    const [one, two] = [await add(), await add()];
    const [older, kept] = [await connect(one, 'taken over'), await connect(one, 'kept')];
    {
      using _ = onPublish(two);
      await connect(two, 'taken over');
    }
    expect(older.transport.closedWith).toBeUndefined();
    await cut();
    await eventually(() => expect(older.transport.closedWith?.code).toBe(4000));
    expect(kept.transport.closedWith).toBeUndefined();
    expect((await one.store.locate(['taken over'])).get('taken over')).toBe(two.nodeId);
  });

  it('takes nothing for taken over when the store has lost everything', async () => {
    const store = new RedisChannelStore(redis, 'lost');
    const one = await instances.add({ backplane: new RedisBackplane(redis), store });
    const held = await connect(one, 'held');
    await redis.client.flushall();
    const recovered = new Promise<void>((resolve) => {
      one.onRecovered(resolve);
    });
    const locate = jest.spyOn(store, 'locate');
    await cut();
    await recovered;
    await eventually(() => locate.mock.calls.length > 0);
    await Promise.all(locate.mock.results.map(({ value }) => value));
    await new Promise(setImmediate);
    // With this code, clients come back.
    await eventually(() => expect(held.transport.closedWith?.code).toBe(1012), { timeoutMs: 20_000 });
  }, 30_000);
});
