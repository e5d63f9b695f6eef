import {
  ChannelService,
  MemoryBackplane,
  MemoryChannelStore,
  MemoryNetwork,
  type ChannelNode,
  type OutgoingMessage,
} from '@nestbox/channels';
import { eventually, spawnFixture } from '@nestbox/testing';
import { Instances, RecordedTransport, type Backend } from './support/instances.js';

const transport = new RecordedTransport();

describe.each<Backend>(['memory', 'postgres', 'redis'])('A question about a channel, on %s', (backend) => {
  const instances = new Instances(backend);
  let one: ChannelService;
  let two: ChannelService;

  beforeAll(async () => {
    await instances.open();
    one = await instances.add({ lease: 2000 });
    two = await instances.add({ lease: 2000 });
  });

  afterAll(() => instances.close());

  it('is answered by the handler of the instance that holds it', async () => {
    const { id } = await two.open({ channelName: 'test', transport });
    using _double = two.onRelay('double', (channelId, n) => Promise.resolve([channelId, Number(n) * 2]));
    using _nothing = two.onRelay('nothing', () => undefined);
    expect(await one.ask(id, 'double', 21)).toEqual({ where: 'remote', answer: [id, 42] });
    expect(await one.ask(id, 'nothing', {})).toEqual({ where: 'remote', answer: null });
    const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => one.ask(id, 'double', n)));
    expect(answers).toEqual(answers.map((_, n) => ({ where: 'remote', answer: [id, n * 2] })));
  });

  it('fails with what the handler throws, or where there is none', async () => {
    const { id } = await two.open({ channelName: 'test', transport });
    using _throws = two.onRelay('throws', () => {
      throw new Error('no idea');
    });
    using _odd = two.onRelay('odd', () => ({ at: new Date() }) as never);
    for (const [kind, text] of [
      ['throws', 'no idea'],
      ['odd', 'answer.at'],
      ['unheard of', 'unheard of'],
    ] as const) {
      const asked = one.ask(id, kind, 1);
      await expect(asked).rejects.toMatchObject({ code: 'BACKPLANE_FAILED' });
      await expect(asked).rejects.toThrow(text);
    }
    await expect(one.ask(id, 'throws', undefined as never)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it('is not asked about a channel of this instance, or of none', async () => {
    const { id } = await one.open({ channelName: 'test', transport });
    expect(await one.ask(id, 'any', 1)).toEqual({ where: 'local' });
    expect(await one.ask('nobody', 'any', 1)).toEqual({ where: 'gone' });
    await one.store.addChannel({ channelId: 'of nobody', channelName: 'test' });
    expect(await one.ask('of nobody', 'any', 1)).toEqual({ where: 'gone' });
  });

  it('finds a channel that is about to be held, and not one that ends', async () => {
    await one.store.addChannel({ channelId: 'coming', channelName: 'test', nodeId: two.nodeId });
    using _ = two.onRelay('here', () => 'yes');
    const asked = one.ask('coming', 'here', 1);
    await two.open({ channelId: 'coming', channelName: 'test', transport });
    expect(await asked).toEqual({ where: 'remote', answer: 'yes' });
    await one.store.addChannel({ channelId: 'never', channelName: 'test', nodeId: two.nodeId });
    expect(await one.ask('never', 'here', 1)).toEqual({ where: 'gone' });
  });

  it('goes with a channel that another instance takes over', async () => {
    const { id } = await two.open({ channelId: 'moves', channelName: 'test', transport });
    using _ = two.onRelay('slow', () => new Promise<never>(() => undefined));
    const asked = one.ask(id, 'slow', 1);
    const other = await instances.add({ lease: 2000 });
    other.onRelay('slow', () => 'from the new one');
    await other.open({ channelId: 'moves', channelName: 'test', transport });
    expect(await asked).toEqual({ where: 'remote', answer: 'from the new one' });
    const askedAgain = two.ask(id, 'slow', 1);
    expect(await askedAgain).toEqual({ where: 'remote', answer: 'from the new one' });
  });

  it('fails after as long as a lease when an instance that lives says nothing', async () => {
    const { id } = await two.open({ channelName: 'test', transport });
    using _ = two.onRelay('hangs', () => new Promise<never>(() => undefined));
    const asked = one.ask(id, 'hangs', 1);
    await expect(asked).rejects.toMatchObject({
      code: 'BACKPLANE_FAILED',
      cause: { code: 'TIMEOUT', timeoutMs: 2000 },
    });
  });

  it('ends with who asks, by its signal and by its end', async () => {
    const { id } = await two.open({ channelName: 'test', transport });
    const asking = new AbortController();
    using _ = two.onRelay('hangs', () => {
      asking.abort(new Error('enough'));
      return new Promise<never>(() => undefined);
    });
    await expect(one.ask(id, 'hangs', 1, asking.signal)).rejects.toThrow('enough');
    await expect(one.ask(id, 'hangs', 1, asking.signal)).rejects.toThrow('enough');
    const third = await instances.add({ lease: 2000 });
    let isAsked = false;
    using _asked = two.onRelay('asked', () => {
      isAsked = true;
      return new Promise<never>(() => undefined);
    });
    const ended = third.ask(id, 'asked', 1).catch((error: unknown) => error);
    await eventually(() => isAsked);
    await third.close();
    expect(await ended).toMatchObject({ code: 'CLOSED' });
  });

  if (backend === 'postgres') {
    it('is refused inside a transaction, which it might have to wait for', async () => {
      await expect(instances.postgres!.transaction(() => one.ask('any', 'any', 1))).rejects.toMatchObject({
        code: 'UNSUPPORTED_OPERATION',
      });
    });
  }

  if (backend !== 'memory') {
    it('is over when the lease of an instance that was killed has ended', async () => {
      const holder = await spawnFixture(new URL('./fixtures/channel-holder.mjs', import.meta.url), {
        args: ['1', '2000', ...instances.address],
      });
      const { ids } = await holder.waitFor<{ type: 'holding'; ids: string[] }>('holding', 20_000);
      await holder.kill();
      expect(await one.ask(ids[0]!, 'any', 1)).toEqual({ where: 'gone' });
    }, 40_000);
  }
});

/** Loses what it is told to. */
class LossyBackplane extends MemoryBackplane {
  losses = 0;

  override async publish(message: OutgoingMessage): Promise<undefined> {
    if (this.losses > 0) this.losses--;
    else await super.publish(message);
  }
}

/** Where a channel comes back to another instance while it is looked up whether its former one lives. */
class BusyStore extends MemoryChannelStore {
  onNodes: (() => Promise<unknown>) | undefined;

  override async nodes(): Promise<ChannelNode[]> {
    const nodes = await super.nodes();
    await this.onNodes?.();
    return nodes;
  }
}

describe('A question', () => {
  it('is not over with a dead instance when its channel has come back elsewhere', async () => {
    const [network, store] = [new MemoryNetwork(), new BusyStore()];
    const [one, two] = [0, 1].map(
      () => new ChannelService({ store, backplane: new MemoryBackplane(network), closeStore: false }),
    );
    await two!.init();
    two!.onRelay('here', () => 'yes');
    await store.addChannel({ channelId: 'back', channelName: 'test', nodeId: 'dead' });
    store.onNodes = () => two!.open({ channelId: 'back', channelName: 'test', transport });
    expect(await one!.ask('back', 'here', null)).toEqual({ where: 'remote', answer: 'yes' });
    await Promise.all([one!.close(), two!.close()]);
  });

  it('is asked again when it is lost, or its answer', async () => {
    const [network, store] = [new MemoryNetwork(), new MemoryChannelStore()];
    const links = [new LossyBackplane(network), new LossyBackplane(network)] as const;
    const [one, two] = links.map((backplane) => new ChannelService({ store, backplane, closeStore: false }));
    await two!.init();
    const { id } = await two!.open({ channelName: 'test', transport });
    let count = 0;
    two!.onRelay('count', () => ++count);
    links[0].losses = 1;
    expect(await one!.ask(id, 'count', null)).toEqual({ where: 'remote', answer: 1 });
    links[1].losses = 1;
    expect(await one!.ask(id, 'count', null)).toEqual({ where: 'remote', answer: 3 });
    await Promise.all([one!.close(), two!.close()]);
  });
});
