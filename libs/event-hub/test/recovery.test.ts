import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { eventually } from '@nestbox/testing';
import fc from 'fast-check';
import { FakeHubs, type FakeHub } from './support/fake-hubs.js';

const HISTORY = { size: 1000, ttl: '1h' };
const KEPT = { topics: { '**': { history: HISTORY } } };

let hubs: FakeHubs;
beforeEach(() => {
  hubs = new FakeHubs();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await hubs.close();
});

async function publish({ hub }: FakeHub, topic: string, from: number, to: number): Promise<string> {
  let epoch = '';
  for (let n = from; n <= to; n++) epoch = (await hub.publish(topic, n)).epoch ?? '';
  return epoch;
}

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('a subscription with a history', () => {
  it('begins with what comes next, and says where the topic stands', async () => {
    const made = await hubs.add(KEPT);
    made.channels.open('a');
    const epoch = await publish(made, 't', 1, 3);
    expect(await made.hub.subscribe('t', 'a')).toEqual({
      recovered: false,
      missed: [],
      position: { epoch, offset: 3 },
    });
    await publish(made, 't', 4, 5);
    await eventually(() => expect(made.channels.data('a')).toEqual([4, 5]));
  });

  it('gets exactly what it missed since a position, but for what is not for it', async () => {
    const made = await hubs.add(KEPT);
    const epoch = await publish(made, 't', 1, 4);
    await made.hub.publish('t', 5, { except: 'a' });
    await publish(made, 't', 6, 6);
    made.channels.open('a');
    const result = await made.hub.subscribe('t', 'a', { since: { epoch, offset: 2 } });
    expect(result).toMatchObject({ recovered: true, position: { epoch, offset: 6 } });
    expect(result.missed[0]).toEqual({
      topic: 't',
      data: 3,
      binary: false,
      epoch,
      offset: 3,
      origin: 'node-1',
    });
    expect(result.missed.map(({ data }) => data)).toEqual([3, 4, 6]);
    expect(made.channels.data('a')).toEqual([3, 4, 6]);
    const none = await made.hub.subscribe('t', 'a', { since: result.position! });
    expect(none).toEqual({ recovered: true, missed: [], position: result.position });
  });

  it('reads on page by page', async () => {
    const made = await hubs.add({ topics: { t: { history: { size: 5000, ttl: '1h' } } } });
    const epoch = await publish(made, 't', 1, 2500);
    made.channels.open('a');
    const { recovered, missed } = await made.hub.subscribe('t', 'a', { since: { epoch, offset: 1 } });
    expect(recovered).toBe(true);
    expect(missed.map(({ data }) => data)).toEqual(numbers(2, 2500));
    expect(made.channels.data('a')).toEqual(numbers(2, 2500));
  });

  it('is not recovered when messages were trimmed, or the history is another one, or there is none', async () => {
    const made = await hubs.add({ topics: { '**': { history: { size: 3, ttl: '1h' } } } });
    const epoch = await publish(made, 't', 1, 10);
    for (const [id, since, data] of [
      ['trimmed', { epoch, offset: 5 }, [8, 9, 10]],
      ['just', { epoch, offset: 7 }, [8, 9, 10]],
      ['other', { epoch: 'older', offset: 9 }, [8, 9, 10]],
    ] as const) {
      made.channels.open(id);
      const { recovered, missed } = await made.hub.subscribe('t', id, { since });
      expect({ id, recovered }).toEqual({ id, recovered: id === 'just' });
      expect(missed.map((message) => message.data)).toEqual(data);
      expect(made.channels.data(id)).toEqual(data);
    }
    made.channels.open('none');
    expect(await made.hub.subscribe('new', 'none', { since: { epoch, offset: 5 } })).toEqual({
      recovered: false,
      missed: [],
      position: undefined,
    });
  });

  it('gives bytes back as bytes', async () => {
    const made = await hubs.add(KEPT);
    const { epoch } = await made.hub.publish('t', Buffer.from([0, 255]), { binary: true });
    made.channels.open('a');
    const { missed } = await made.hub.subscribe('t', 'a', { since: { epoch: epoch!, offset: 0 } });
    expect(missed[0]).toMatchObject({ data: Buffer.from([0, 255]), binary: true });
    expect(made.channels.frames('a').map(({ binary }) => binary)).toEqual([true, false]);
    expect(await made.hub.history('t')).toEqual(missed);
  });

  it('reads what was too much to wait for once more', async () => {
    const made = await hubs.add({ topics: { t: { history: { size: 10_000, ttl: '1h' } } } });
    const epoch = await publish(made, 't', 1, 1);
    made.channels.open('a');
    const gate = hold();
    hubs.store.delay = () => gate.opened;
    const subscribing = made.hub.subscribe('t', 'a', { since: { epoch, offset: 0 } });
    await publish(made, 't', 2, 2500);
    await eventually(() => expect(made.hub.figures.members).toBe(1));
    gate.open();
    const { recovered, missed } = await subscribing;
    expect(recovered).toBe(true);
    expect(missed.length).toBeGreaterThan(1000);
    await eventually(() => expect(made.channels.data('a')).toEqual(numbers(1, 2500)));
  });

  it('reads the history again when a gap shows meanwhile', async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const made = await hubs.add(KEPT);
    const epoch = await publish(made, 't', 1, 3);
    made.channels.open('a');
    const gate = hold();
    hubs.store.delay = () => gate.opened;
    const subscribing = made.hub.subscribe('t', 'a', { since: { epoch, offset: 0 } });
    await eventually(() => expect(made.hub.figures.members).toBe(1));
    made.backplane.receiver!.onGap('t', { epoch, offset: 3 });
    gate.open();
    expect(await subscribing).toMatchObject({ recovered: true, position: { epoch, offset: 3 } });
    expect(made.channels.data('a')).toEqual([1, 2, 3]);
  });
});

describe('history', () => {
  it('gives the newest ones, or pages from a position', async () => {
    const made = await hubs.add(KEPT);
    expect(await made.hub.history('t')).toEqual([]);
    const epoch = await publish(made, 't', 1, 9);
    const data = async (options: Parameters<typeof made.hub.history>[1]): Promise<unknown[]> =>
      (await made.hub.history('t', options)).map((message) => message.data);
    expect(await data({})).toEqual(numbers(1, 9));
    expect(await data({ limit: 2 })).toEqual([8, 9]);
    expect(await data({ limit: 2, since: { epoch, offset: 4 } })).toEqual([5, 6]);
  });
});

describe('subscribing while others publish', () => {
  it('gives every subscriber exactly the tail after its position, without a gap and nothing twice', async () => {
    const operation = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ type: fc.constant('publish' as const), hub: fc.nat(1), times: fc.nat(4) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          type: fc.constant('subscribe' as const),
          hub: fc.nat(1),
          since: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('wait' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { maxLength: 40 }),
        fc.array(fc.nat(3), { minLength: 1, maxLength: 20 }),
        async (operations, delays) => {
          const group = new FakeHubs();
          let next = 0;
          group.network.delay = () => delays[next++ % delays.length]!;
          const made = [await group.add(KEPT), await group.add(KEPT)];
          const pending: Promise<unknown>[] = [];
          const subscribers: { id: string; channels: FakeHub['channels']; from: Promise<number> }[] = [];
          let published = 0;
          for (const step of operations) {
            const { hub, channels } = made[step.type === 'wait' ? 0 : step.hub]!;
            if (step.type === 'wait') await new Promise((resolve) => setImmediate(resolve));
            else if (step.type === 'publish') {
              for (let i = 0; i < step.times; i++) pending.push(hub.publish('t', published++));
            } else {
              const id = `c${subscribers.length}`;
              channels.open(id);
              const kept = group.network.histories.get('t');
              const since =
                kept === undefined || step.since === undefined
                  ? undefined
                  : { epoch: kept.epoch, offset: Math.floor(step.since * kept.last) };
              const from = hub.subscribe('t', id, { since }).then(({ recovered, missed, position }) => {
                expect(recovered).toBe(since !== undefined);
                expect(missed).toHaveLength(recovered ? position!.offset - since!.offset : 0);
                return (recovered ? since : position)?.offset ?? 0;
              });
              subscribers.push({ id, channels, from });
              pending.push(from);
            }
          }
          await Promise.all(pending);
          for (const { id, channels, from } of subscribers) {
            const expected = numbers((await from) + 1, published);
            await eventually(() =>
              expect(channels.messages(id).map(({ offset }) => offset)).toEqual(expected),
            );
          }
          await group.close();
        },
      ),
      { numRuns: 100 },
    );
  });
});

function hold(): { opened: Promise<void>; open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
