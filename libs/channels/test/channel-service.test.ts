import { ChannelNotFoundError, PayloadTooLargeError, type ChannelService } from '@nestbox/channels';
import { ClosedError, InvalidArgumentError } from '@nestbox/core';
import { eventually } from '@nestbox/testing';
import fc from 'fast-check';
import { Instances, RecordedTransport, type Backend } from './support/instances.js';

describe.each<Backend>(['memory', 'postgres', 'redis'])('Two instances on %s', (backend) => {
  const instances = new Instances(backend);
  let one: ChannelService;
  let two: ChannelService;
  let ids = 0;

  beforeAll(async () => {
    await instances.open();
    one = await instances.add();
    two = await instances.add();
  });

  afterAll(() => instances.close());

  async function connect(service: ChannelService, channelId = `c${++ids}`) {
    const transport = new RecordedTransport();
    const channel = await service.open({ channelId, channelName: 'test', transport });
    return { channel, transport, id: channel.id };
  }

  it('find a channel as soon as it is open, and reach it from either', async () => {
    const { id, transport, channel } = await connect(one);
    expect(await two.store.getChannelAndSession(id)).toEqual({
      channelId: id,
      channelName: 'test',
      openingData: {},
      session: null,
    });
    expect(channel.send({ hello: 1 })).toBe(true);
    expect(await one.send(id, [2])).toBe('local');
    expect(await two.send(id, 'three')).toBe('remote');
    expect(await two.send(id, Buffer.from([0, 255, 10]), { binary: true })).toBe('remote');
    await eventually(() => transport.frames.length === 4);
    expect(transport.texts).toEqual([{ hello: 1 }, [2], 'three', Buffer.from([0, 255, 10])]);
    expect(await one.send('nobody', 1)).toBe('gone');
  });

  it('keep the session where every instance finds it, and reach a user by it', async () => {
    const users = await Promise.all([connect(one), connect(two), connect(two)]);
    const userId = `user ${++ids}`;
    for (const { channel } of users.slice(0, 2)) await channel.setSession({ userId, roles: ['a'] });
    expect(users[0].channel.session).toEqual({ userId, roles: ['a'] });
    expect(await one.sendToUser(userId, { news: true })).toBe(2);
    await eventually(() => users[1].transport.frames.length === 1);
    expect(users.map(({ transport }) => transport.texts)).toEqual([[{ news: true }], [{ news: true }], []]);
    await two.setSession(users[0].id, null);
    expect(await one.sendToUser(userId, 'again')).toBe(1);
    await expect(one.setSession('nobody', {})).rejects.toThrow(ChannelNotFoundError);
  });

  it('remove a channel when it ends, whoever ends it', async () => {
    const [first, second, third] = await Promise.all([connect(one), connect(one), connect(one)]);
    const closed: string[] = [];
    using _ = one.onClosed((id) => void closed.push(id));
    first.channel.close();
    first.channel.close();
    expect(await two.disconnect(second.id, { code: 4001, reason: 'go' })).toBe('remote');
    expect(await one.disconnect(third.id)).toBe('local');
    expect(await one.disconnect('nobody')).toBe('gone');
    const all = [first.id, second.id, third.id];
    await eventually(async () => (await two.store.getChannels(all)).size === 0);
    expect(second.transport.closedWith).toEqual({ code: 4001, reason: 'go' });
    expect(closed.toSorted()).toEqual(all.toSorted());
    expect(first.channel.closed.aborted).toBe(true);
    expect(first.channel.send(1)).toBe(false);
    expect(await two.send(first.id, 1)).toBe('gone');
  });

  it('let a newer connection take over an id, with its session, on either instance', async () => {
    const old = await connect(one);
    await old.channel.setSession({ userId: 'kept' });
    const here = await connect(one, old.id);
    expect(old.transport.closedWith).toEqual({ code: 4000, reason: 'replaced' });
    expect(here.channel.session).toEqual({ userId: 'kept' });
    const there = await connect(two, old.id);
    await eventually(() => here.transport.closedWith?.code === 4000);
    expect(there.channel.session).toEqual({ userId: 'kept' });
    expect(await one.send(old.id, 'hi')).toBe('remote');
    await eventually(() => there.transport.frames.length === 1);
    expect((await one.store.locate([old.id])).get(old.id)).toBe(two.nodeId);
  });

  it('close a transport that throws or takes nothing, and nobody else', async () => {
    const [bad, full, good] = await Promise.all([connect(one), connect(one), connect(one)]);
    bad.transport.onSend = () => {
      throw new Error('broken');
    };
    full.transport.onSend = () => false;
    expect(await one.send(bad.id, 1)).toBe('gone');
    expect(await one.send(full.id, 1)).toBe('gone');
    expect(await one.send(good.id, 1)).toBe('local');
    expect(bad.transport.closedWith?.code).toBe(1011);
    expect(full.transport.closedWith?.code).toBe(1011);
    await eventually(async () => (await two.store.getChannels([bad.id, full.id])).size === 0);
    expect((await two.store.getChannels([good.id])).size).toBe(1);
  });

  it('relay to whoever holds a channel', async () => {
    const { id } = await connect(one);
    const got: unknown[] = [];
    using _ = one.onRelay('test', (channelId, payload) => {
      got.push([channelId, payload]);
      throw new Error('a handler that throws is logged');
    });
    expect(await two.relay(id, 'test', { a: 1 })).toBe('remote');
    expect(await one.relay(id, 'test', 2)).toBe('local');
    expect(await one.relay(id, 'unknown kind', 2)).toBe('local');
    expect(await one.relay('nobody', 'test', 2)).toBe('gone');
    await eventually(() => got.length === 2);
    expect(new Set(got.map((relayed) => JSON.stringify(relayed)))).toEqual(
      new Set([JSON.stringify([id, { a: 1 }]), JSON.stringify([id, 2])]),
    );
    expect(() => one.onRelay('test', () => undefined)).toThrow(InvalidArgumentError);
  });

  it('refuse what is too large or no message, and send nothing of it', async () => {
    const { id, transport } = await connect(one);
    await expect(two.send(id, 'x'.repeat(1024 * 1024))).rejects.toThrow(PayloadTooLargeError);
    await expect(one.send(id, { at: new Date() } as never)).rejects.toThrow('data.at');
    await expect(one.send(id, 'text', { binary: true })).rejects.toThrow(InvalidArgumentError);
    await expect(one.send('', 1)).rejects.toThrow(InvalidArgumentError);
    await expect(one.open({ channelName: '', transport })).rejects.toThrow('channelName');
    await expect(one.open({ channelName: 'a', transport: {} as never })).rejects.toThrow('transport');
    expect(transport.frames).toEqual([]);
  });

  it('hold just what was opened and not closed, in whatever order that comes', async () => {
    const step = fc.record({
      id: fc.integer({ min: 0, max: 3 }),
      at: fc.constantFrom('one', 'two'),
      open: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const run = ++ids;
        const idOf = (id: number) => `race ${run} ${id}`;
        const owners = new Map<number, ChannelService>();
        for (const { id, at, open } of steps) {
          const service = at === 'one' ? one : two;
          if (open) {
            await connect(service, idOf(id));
            owners.set(id, service);
          } else if (owners.get(id) === service) {
            service.get(idOf(id))!.close();
            owners.delete(id);
          }
        }
        const all = [0, 1, 2, 3].map(idOf);
        const expected = new Map([...owners].map(([id, { nodeId }]) => [idOf(id), nodeId]));
        await eventually(async () => {
          const found = await one.store.locate(all);
          return found.size === expected.size && [...found].every(([id, node]) => expected.get(id) === node);
        });
        for (const [id, service] of owners) expect(service.get(idOf(id))).toBeDefined();
        await Promise.all([one, two].map((service) => service.store.removeChannels([])));
      }),
      { numRuns: 8 },
    );
  });

  it('remove 10,000 channels that end at once', async () => {
    const many = await Promise.all(Array.from({ length: 10_000 }, () => connect(one)));
    const all = many.map(({ id }) => id);
    const owners = await two.store.locate(all);
    expect(owners.size).toBe(10_000);
    expect(new Set(owners.values())).toEqual(new Set([one.nodeId]));
    for (const { channel } of many) channel.close();
    await eventually(async () => (await two.store.locate(all)).size === 0, { timeoutMs: 20_000 });
  }, 60_000);

  it('close their connections with 1001 when they go, and take nothing in any more', async () => {
    const third = await instances.add();
    const { id, transport } = await connect(third);
    third.stopOpening();
    await expect(connect(third)).rejects.toThrow(ClosedError);
    await third.close();
    await third.close();
    expect(transport.closedWith).toEqual({ code: 1001, reason: 'going away' });
    expect((await one.store.getChannels([id])).size).toBe(0);
    expect((await one.store.nodes()).map(({ nodeId }) => nodeId)).not.toContain(third.nodeId);
  });

  if (backend === 'postgres') {
    it('send after the commit, and nothing after a rollback', async () => {
      const { postgres } = instances;
      const [here, there] = await Promise.all([connect(one), connect(two)]);
      const sendBoth = async (text: string) => {
        await one.send(here.id, text);
        await one.send(there.id, text);
        expect(here.transport.texts).not.toContain(text);
      };
      await postgres!.transaction(() => sendBoth('committed'));
      await expect(
        postgres!.transaction(async () => {
          await sendBoth('rolled back');
          throw new Error('no');
        }),
      ).rejects.toThrow('no');
      await one.send(there.id, 'last');
      await eventually(() => there.transport.frames.length === 2);
      expect(here.transport.texts).toEqual(['committed']);
      expect(there.transport.texts).toEqual(['committed', 'last']);
    });
  }
});
