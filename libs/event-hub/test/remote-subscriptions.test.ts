import { eventually } from '@nestbox/testing';
import { LiveHubs, type Backend, type Instance } from './support/live-hubs.js';

const ROUNDS = 60;
const KEPT = { topics: { 'kept.**': { history: { size: 1000, ttl: '1h' } } } };

describe.each<Backend>(['memory', 'redis', 'redis-sharded', 'postgres'])(
  'a channel of another instance, on %s',
  (backend) => {
    let hubs: LiveHubs;
    let one: Instance;
    let two: Instance;
    let three: Instance;
    beforeAll(async () => {
      hubs = new LiveHubs(backend);
      one = await hubs.add(KEPT);
      two = await hubs.add(KEPT);
      three = await hubs.add(KEPT);
    });
    afterAll(() => hubs.close());

    it.each(['plain', 'kept'])(
      'gets all that anybody publishes once its subscription has resolved (%s)',
      async (kind) => {
        const client = await two.connect(`near ${kind}`);
        const expected: string[] = [];
        for (let n = 0; n < ROUNDS; n++) {
          const topic = `${kind}.${n}`;
          await one.hub.subscribe(topic, client.id);
          expected.push(`one ${n}`, `three ${n}`);
          await Promise.all([one.hub.publish(topic, `one ${n}`), three.hub.publish(topic, `three ${n}`)]);
        }
        await eventually(() => expect(client.data()).toHaveLength(expected.length));
        expect(new Set(client.data())).toEqual(new Set(expected));
      },
      30_000,
    );

    it('gets what it missed and what is published right behind, in order', async () => {
      const client = await two.connect('resuming');
      for (let n = 0; n < ROUNDS; n++) {
        const topic = `kept.since.${n}`;
        const { epoch, offset } = await three.hub.publish(topic, [n, 'had']);
        await three.hub.publish(topic, [n, 'missed']);
        const since = { epoch: epoch!, offset: offset! };
        const { position } = await one.hub.subscribe(topic, client.id, { since });
        await one.hub.publish(topic, [n, 'one']);
        const last = await three.hub.publish(topic, [n, 'three']);
        expect(position).toMatchObject({ epoch });
        expect(position!.offset).toBeGreaterThan(offset!);
        expect(position!.offset).toBeLessThan(last.offset!);
      }
      await eventually(() => {
        expect(client.data()).toHaveLength(3 * ROUNDS);
        for (let n = 0; n < ROUNDS; n++) {
          const own = (client.data() as [number, string][]).filter(([of]) => of === n);
          expect(own.map(([, what]) => what)).toEqual(['missed', 'one', 'three']);
        }
      });
    }, 30_000);

    it('cannot be subscribed once the lease of its instance has ended, though it is still found', async () => {
      const { store } = one.channels;
      await store.heartbeat('dead', 1500);
      await store.addChannel({ channelId: 'left behind', channelName: 'test', nodeId: 'dead' });
      await expect(one.hub.subscribe('plain.dead', 'left behind')).rejects.toMatchObject({
        code: 'CHANNEL_NOT_FOUND',
        channelId: 'left behind',
      });
      expect(await one.hub.presenceCount('plain.dead')).toBe(0);
    }, 15_000);

    it('is waited for no longer than the hub is open', async () => {
      const four = await hubs.add();
      const { store } = four.channels;
      await store.heartbeat('silent', 60_000);
      await store.addChannel({ channelId: 'mute', channelName: 'test', nodeId: 'silent' });
      const subscribing = four.hub.subscribe('plain.mute', 'mute').catch((error: unknown) => error);
      await eventually(async () => expect(await one.hub.presenceCount('plain.mute')).toBe(1));
      await four.hub.close();
      expect(await subscribing).toMatchObject({ code: 'CLOSED' });
      await store.releaseNode('silent');
    });
  },
);

describe('transactions of PostgreSQL', () => {
  it('subscribe channels of other instances for what is published when they are over, however many', async () => {
    const hubs = new LiveHubs('postgres');
    const [one, two, three] = [await hubs.add(), await hubs.add(), await hubs.add()];
    const clients = await Promise.all(Array.from({ length: 40 }, (_, i) => two.connect(`c${i}`)));
    // More than there are connections, on either instance.
    await Promise.all(
      clients.map(async ({ id }) => {
        await one.postgres!.transaction(async () => {
          await one.hub.subscribe(id, id);
          expect(await two.hub.presenceCount(id)).toBe(0);
        });
        await Promise.all([one.hub.publish(id, 'one'), three.hub.publish(id, 'three')]);
      }),
    );
    for (const client of clients) {
      await eventually(() => expect(client.data()).toHaveLength(2));
      expect(new Set(client.data())).toEqual(new Set(['one', 'three']));
    }
    const rolledBack = one.postgres!.transaction(async () => {
      await one.hub.subscribe('never', clients[0]!.id);
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    await one.hub.subscribe('always', clients[0]!.id);
    expect(two.hub.figures.topics).toBe(clients.length + 1);
    await hubs.close();
  }, 30_000);
});
