import type { ChannelService } from '@nestbox/channels';
import { eventually, spawnFixture, type Fixture } from '@nestbox/testing';
import { Instances, RecordedTransport, type Backend } from './support/instances.js';

const LEASE_MS = 2000;

interface Holding {
  type: 'holding';
  nodeId: string;
  ids: string[];
}

describe.each<Backend>(['postgres', 'redis'])('Instances that die, on %s', (backend) => {
  const instances = new Instances(backend);
  let others: ChannelService[];
  let removed: string[];

  beforeAll(async () => {
    await instances.open();
    others = [await instances.add({ lease: LEASE_MS }), await instances.add({ lease: LEASE_MS })];
    for (const other of others) other.onRemoved((ids) => void removed.push(...ids));
  });

  beforeEach(() => {
    removed = [];
  });

  afterAll(() => instances.close());

  async function spawnHolder(count: number): Promise<{ holder: Fixture } & Holding> {
    const holder = await spawnFixture(new URL('./fixtures/channel-holder.mjs', import.meta.url), {
      args: [String(count), String(LEASE_MS), ...instances.address],
    });
    return { holder, ...(await holder.waitFor<Holding>('holding', 20_000)) };
  }

  it('lose their channels within the lease when they are killed, each reported once', async () => {
    const { holder, ids } = await spawnHolder(1500);
    const own = await others[0]!.open({ channelName: 'own', transport: new RecordedTransport() });
    const [store] = others.map((other) => other.store);
    expect((await store!.getChannels(ids)).size).toBe(1500);
    await holder.kill();
    const killedAt = performance.now();
    await eventually(async () => (await store!.getChannels(ids)).size === 0, {
      timeoutMs: LEASE_MS * 3,
      intervalMs: 25,
    });
    // The machine that the tests run on may be slow; it is promised for one that is not.
    expect(performance.now() - killedAt).toBeLessThan(LEASE_MS * 1.5);
    await eventually(() => removed.length === ids.length);
    expect(removed.toSorted()).toEqual(ids.toSorted());
    expect((await store!.getChannels([own.id])).size).toBe(1);
  }, 40_000);

  it('close their connections when they come back after they were taken for dead', async () => {
    const { holder, ids } = await spawnHolder(5);
    holder.freeze();
    await eventually(async () => (await others[0]!.store.getChannels(ids)).size === 0, {
      timeoutMs: LEASE_MS * 3,
    });
    holder.unfreeze();
    const closed = await holder.waitFor<{ type: 'closed'; code: number; reason: string }>('closed', 10_000);
    expect(closed).toMatchObject({ code: 1012, reason: 'lease lost' });
    await holder.kill();
  }, 40_000);
});
