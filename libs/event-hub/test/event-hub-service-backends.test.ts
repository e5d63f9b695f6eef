import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { eventually } from '@nestbox/testing';
import { LiveHubs, type Backend, type Client, type Instance } from './support/live-hubs.js';

const HISTORY = { size: 1000, ttl: '1h' };
const TOPIC = 'stock:{7}.*.🐣';

describe.each<Backend>(['memory', 'redis', 'postgres'])('three instances on %s', (backend) => {
  let hubs: LiveHubs;
  let instances: Instance[];
  beforeAll(async () => {
    hubs = new LiveHubs(backend);
    instances = [];
    for (let i = 0; i < 3; i++)
      instances.push(await hubs.add({ topics: { 'kept.**': { history: HISTORY } } }));
  });
  afterAll(() => hubs.close());
  afterEach(() => jest.restoreAllMocks());

  let clientCount = 0;
  async function connectTo(instance: number, topic?: string): Promise<Client> {
    const client = await instances[instance]!.connect(`c${clientCount++}`);
    if (topic !== undefined) await instances[instance]!.hub.subscribe(topic, client.id);
    return client;
  }

  it('reach exactly the subscribers, and not the origin, wherever it is', async () => {
    const clients = await Promise.all([0, 1, 2, 0, 1, 2].map((i) => connectTo(i, TOPIC)));
    const other = await connectTo(1, `${TOPIC}x`);
    const origin = clients[1]!;
    await instances[0]!.hub.publish(TOPIC, { for: 'all' });
    await instances[0]!.hub.publish(TOPIC, { for: 'others' }, { except: origin.id });
    await instances[0]!.hub.publish(TOPIC, 'end');
    for (const client of clients) {
      const expected = [{ for: 'all' }, { for: 'others' }, 'end'];
      if (client === origin) expected.splice(1, 1);
      await eventually(() => expect(client.data()).toEqual(expected));
    }
    expect(other.data()).toEqual([]);
    expect(await instances[2]!.hub.presenceCount(TOPIC)).toBe(6);
    const present = await instances[2]!.hub.presence(TOPIC);
    expect(present.map(({ channelId }) => channelId).toSorted()).toEqual(
      clients.map(({ id }) => id).toSorted(),
    );
  });

  it('keep bytes and large messages whole, and refuse what is over the limit', async () => {
    const clients = await Promise.all([0, 1].map((i) => connectTo(i, 'large')));
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 256));
    await instances[0]!.hub.publish('large', bytes, { binary: true });
    await instances[0]!.hub.publish('large', 'é'.repeat(150_000));
    await expect(instances[0]!.hub.publish('large', 'x'.repeat(1024 * 1024))).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
    for (const { frames, data } of clients) {
      await eventually(() => expect(frames).toHaveLength(2));
      expect(frames[0]!.data.equals(bytes)).toBe(true);
      expect(data()).toEqual(['é'.repeat(150_000)]);
    }
  });

  it('keep the order of each publisher, and with a history one order for everybody', async () => {
    const clients = await Promise.all([0, 1, 2].map((i) => connectTo(i, 'kept.order')));
    const plain = await Promise.all([0, 1, 2].map((i) => connectTo(i, 'plain.order')));
    const calls: Promise<unknown>[] = [];
    for (let n = 0; n < 50; n++) {
      for (const [i, { hub }] of instances.entries()) {
        calls.push(hub.publish('kept.order', [i, n]), hub.publish('plain.order', [i, n]));
      }
    }
    await Promise.all(calls);
    for (const client of [...clients, ...plain]) {
      await eventually(() => expect(client.frames).toHaveLength(150));
      for (const i of [0, 1, 2]) {
        const own = (client.data() as [number, number][]).filter(([publisher]) => publisher === i);
        expect(own.map(([, n]) => n)).toEqual(Array.from({ length: 50 }, (_, n) => n));
      }
    }
    for (const client of clients) expect(client.data()).toEqual(clients[0]!.data());
    expect(clients[0]!.offsets()).toEqual(clients[0]!.offsets().toSorted((a, b) => a! - b!));
  });

  it('resume with exactly what was missed, and say so when something is gone', async () => {
    const history = { size: 5, ttl: '1h' };
    const offsets: number[] = [];
    let epoch = '';
    for (let n = 1; n <= 8; n++) {
      const result = await instances[n % 3]!.hub.publish('resume', n, { history });
      offsets.push(result.offset!);
      epoch = result.epoch!;
    }
    for (const [since, recovered, data] of [
      [{ epoch, offset: offsets[4]! }, true, [6, 7, 8]],
      [{ epoch, offset: offsets[2]! }, true, [4, 5, 6, 7, 8]],
      [{ epoch, offset: offsets[1]! }, false, [4, 5, 6, 7, 8]],
      [{ epoch: 'another', offset: 2 }, false, [4, 5, 6, 7, 8]],
    ] as const) {
      const client = await connectTo(2);
      const result = await instances[2]!.hub.subscribe('resume', client.id, { since });
      expect(result).toMatchObject({ recovered, position: { epoch, offset: offsets[7] } });
      expect(result.missed.map((message) => message.data)).toEqual(data);
      expect(client.data()).toEqual(data);
    }
  });

  it('give every subscriber a tail without a gap while everybody publishes', async () => {
    let publishing = true;
    const publishers = instances.map(async ({ hub }) => {
      while (publishing) await hub.publish('kept.hammer', 'x');
    });
    await eventually(async () => expect(await instances[0]!.hub.history('kept.hammer')).not.toEqual([]));
    const subscribers: { client: Client; from: number }[] = [];
    for (let i = 0; i < 12; i++) {
      const client = await connectTo(i % 3);
      const [newest] = await instances[0]!.hub.history('kept.hammer', { limit: 1 });
      const since = i % 2 === 0 ? undefined : { epoch: newest!.epoch, offset: newest!.offset };
      const { hub } = instances[i % 3]!;
      const { position, recovered } = await hub.subscribe('kept.hammer', client.id, { since });
      expect(recovered).toBe(since !== undefined);
      subscribers.push({ client, from: since?.offset ?? position!.offset });
    }
    publishing = false;
    await Promise.all(publishers);
    const { offset, epoch } = await instances[0]!.hub.publish('kept.hammer', 'last');
    const { hub } = instances[0]!;
    for (const { client, from } of subscribers) {
      await eventually(() => expect(client.offsets().at(-1)).toBe(offset));
      const kept = await hub.history('kept.hammer', { since: { epoch: epoch!, offset: from }, limit: 1000 });
      const got = client.offsets();
      expect(got[0]).toBeGreaterThan(from);
      // The history may have been trimmed by now; what is left of it has to be the end of what came.
      expect(got.slice(-kept.length)).toEqual(kept.map((message) => message.offset));
      expect(got).toEqual([...new Set(got)].toSorted((a, b) => a! - b!));
    }
  });

  it('subscribe channels that live elsewhere, and let go of those that are gone', async () => {
    const client = await connectTo(1);
    await instances[0]!.hub.subscribe('remote', client.id);
    await eventually(() => expect(instances[1]!.hub.figures.topics).toBeGreaterThan(0));
    await eventually(async () => {
      await instances[2]!.hub.publish('remote', 1);
      expect(client.data()).not.toEqual([]);
    });
    client.channel.close();
    await eventually(async () => expect(await instances[0]!.hub.presence('remote')).toEqual([]));
    await eventually(async () => expect(await instances[0]!.hub.presenceCount('remote')).toBe(0));
    expect(await instances[1]!.hub.publish('remote', 2)).toEqual({ local: 0 });
    if (backend !== 'redis') {
      await expect(instances[0]!.hub.subscribe('remote', 'nobody')).rejects.toMatchObject({
        code: 'CHANNEL_NOT_FOUND',
      });
    }
  });

  it('are not harmed by a connection or a handler that throws', async () => {
    jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const bad = await instances[1]!.connect('bad', () => {
      throw new Error('broken pipe');
    });
    await instances[1]!.hub.subscribe('harm', bad.id);
    const good = await connectTo(1, 'harm');
    const heard: unknown[] = [];
    using _ = instances[1]!.hub.on('harm', () => {
      throw new Error('oops');
    });
    using listener = instances[1]!.hub.on('har*', () => undefined);
    using pattern = instances[1]!.hub.on('*', (data) => heard.push(data));
    await Promise.all([listener.ready, pattern.ready]);
    for (const n of [1, 2, 3]) await instances[0]!.hub.publish('harm', n);
    await eventually(() => expect(good.data()).toEqual([1, 2, 3]));
    await eventually(() => expect(heard).toEqual([1, 2, 3]));
  });
});

describe('transactions of PostgreSQL', () => {
  it('take publishes with them, or keep them from ever being sent', async () => {
    const hubs = new LiveHubs('postgres');
    const [one, two] = [await hubs.add(), await hubs.add()];
    const near = await one.connect('near');
    const far = await two.connect('far');
    for (const topic of ['plain', 'kept']) {
      await one.hub.subscribe(topic, near.id);
      await two.hub.subscribe(topic, far.id);
    }
    await one.postgres!.transaction(async () => {
      expect(await one.hub.publish('plain', 1)).toEqual({ local: 1 });
      expect(await one.hub.publish('kept', 2, { history: HISTORY })).toMatchObject({
        local: 1,
        offset: expect.any(Number),
      });
      expect([near.frames, far.frames]).toEqual([[], []]);
    });
    const rolledBack = one.postgres!.transaction(async () => {
      await one.hub.publish('plain', 'never');
      await one.hub.publish('kept', 'never', { history: HISTORY });
      throw new Error('no');
    });
    await expect(rolledBack).rejects.toThrow('no');
    await one.hub.publish('plain', 3);
    for (const client of [near, far]) {
      await eventually(() => expect(new Set(client.data())).toEqual(new Set([1, 2, 3])));
    }
    expect((await two.hub.history('kept')).map(({ data }) => data)).toEqual([2]);
    await hubs.close();
  });
});
