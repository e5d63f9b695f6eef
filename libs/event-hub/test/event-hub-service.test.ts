import { eventually } from '@nestbox/testing';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { StandardSchemaV1 } from '@nestbox/event-hub';
import { z } from 'zod';
import { FakeHubs, type FakeHub } from './support/fake-hubs.js';

const HISTORY = { size: 100, ttl: '1h' };

let hubs: FakeHubs;
beforeEach(() => {
  hubs = new FakeHubs();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await hubs.close();
});

describe('publish', () => {
  it('reaches the members of this instance before it returns, in the order of the calls', async () => {
    const { hub, channels } = await hubs.add();
    for (const id of ['a', 'b', 'c']) channels.open(id);
    await hub.subscribe('t', 'a');
    await hub.subscribe('t', 'b');
    await hub.subscribe('other', 'c');
    const first = hub.publish('t', { n: 1 });
    const second = hub.publish('t', { n: 2 }, { except: ['b', 'z'] });
    expect(channels.messages('a')).toEqual([
      { event: 't', data: { n: 1 } },
      { event: 't', data: { n: 2 } },
    ]);
    expect(channels.data('b')).toEqual([{ n: 1 }]);
    expect(channels.data('c')).toEqual([]);
    expect(await first).toEqual({ local: 2 });
    expect(await second).toEqual({ local: 1 });
  });

  it('makes one frame for all of an instance, with its payload inside', async () => {
    const { hub, channels } = await hubs.add();
    for (const id of ['a', 'b']) {
      channels.open(id);
      await hub.subscribe('{"t": é}', id);
    }
    await hub.publish('{"t": é}', 'ü');
    const [frame] = channels.frames('a');
    expect(channels.frames('b')[0]).toBe(frame);
    expect(frame!.payload!.toString()).toBe('"ü"');
    expect(frame!.data.toString()).toBe(String.raw`{"event":"{\"t\": é}","data":"ü"}`);
    expect(frame).toMatchObject({ topic: '{"t": é}', binary: false });
  });

  it('reaches other instances, but for those left out, in order', async () => {
    const one = await hubs.add();
    const two = await hubs.add();
    for (const id of ['a', 'b']) {
      two.channels.open(id);
      await two.hub.subscribe('t', id);
    }
    for (let i = 0; i < 50; i++) void one.hub.publish('t', i, i === 7 ? { except: 'a' } : {});
    await eventually(() => expect(two.channels.data('b')).toHaveLength(50));
    expect(two.channels.data('b')).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(two.channels.data('a')).toEqual(two.channels.data('b').filter((n) => n !== 7));
  });

  it('sends bytes as they are, and its position after them where they are kept', async () => {
    const { hub, channels } = await hubs.add();
    channels.open('a');
    await hub.subscribe('t', 'a');
    const bytes = Buffer.from([0, 255, 1, 254]);
    await hub.publish('t', bytes, { binary: true });
    const { epoch } = await hub.publish('t', new Uint8Array([1]), { binary: true, history: HISTORY });
    bytes.fill(9);
    await eventually(() => expect(channels.frames('a')).toHaveLength(3));
    const [bare, kept, position] = channels.frames('a');
    expect(bare).toEqual({ data: Buffer.from([0, 255, 1, 254]), binary: true, topic: 't' });
    expect(kept).toEqual({ data: Buffer.from([1]), binary: true, topic: 't', eventId: `${epoch}:1` });
    expect(JSON.parse(position!.data.toString())).toEqual({
      event: 'nestbox:position',
      data: { topic: 't', epoch, offset: 1 },
    });
  });

  it('with a history delivers on every instance when the message has its place', async () => {
    const one = await hubs.add({ topics: { 't.*': { history: HISTORY } } });
    const two = await hubs.add({ topics: { 't.*': { history: HISTORY } } });
    for (const [index, { hub, channels }] of [one, two].entries()) {
      channels.open(`c${index}`);
      await hub.subscribe('t.x', `c${index}`);
    }
    const results = await Promise.all([one.hub.publish('t.x', 1), two.hub.publish('t.x', 2)]);
    expect(results.map(({ offset }) => offset).toSorted((x, y) => x! - y!)).toEqual([1, 2]);
    expect(results[0]).toMatchObject({ epoch: results[1].epoch, local: 1 });
    await eventually(() => expect(one.channels.messages('c0')).toHaveLength(2));
    await eventually(() => expect(two.channels.messages('c1')).toEqual(one.channels.messages('c0')));
    expect(one.channels.messages('c0')[0]).toEqual({
      event: 't.x',
      data: expect.any(Number) as unknown,
      epoch: results[0].epoch,
      offset: 1,
    });
    expect(one.channels.frames('c0')[1]).toMatchObject({ topic: 't.x', eventId: `${results[0].epoch}:2` });
    expect(await one.hub.publish('t.x', 3, { history: false })).toEqual({ local: 1 });
    expect(await one.hub.publish('t', 3, { history: true })).toMatchObject({ offset: 1, local: 0 });
  });

  it('refuses what is too large, and sends nothing of it', async () => {
    const { hub, channels, backplane } = await hubs.add({ maxPayload: 10 });
    channels.open('a');
    await hub.subscribe('t', 'a');
    await hub.publish('t', 'x'.repeat(8));
    const tooLarge = { code: 'PAYLOAD_TOO_LARGE', bytes: 11, limit: 10 };
    await expect(hub.publish('t', 'x'.repeat(9))).rejects.toMatchObject(tooLarge);
    await expect(hub.publish('t', Buffer.alloc(11), { binary: true })).rejects.toMatchObject(tooLarge);
    expect(channels.frames('a')).toHaveLength(1);
    expect(backplane.calls.filter((call) => call === 'publish t')).toHaveLength(1);
  });

  it('says that local members got it when the others cannot be reached', async () => {
    const { hub, channels, backplane } = await hubs.add();
    channels.open('a');
    await hub.subscribe('t', 'a');
    backplane.failure = new Error('link down');
    await expect(hub.publish('t', 1)).rejects.toMatchObject({
      code: 'BACKPLANE_FAILED',
      message:
        'Failed to publish to topic "t" on other instances (its 1 members on this one got it): link down',
    });
    expect(channels.data('a')).toEqual([1]);
    await expect(hub.publish('t', 1, { history: HISTORY })).rejects.toMatchObject({
      message: 'Failed to publish to topic "t": link down',
    });
    expect(channels.data('a')).toEqual([1]);
  });

  it.each<[string, (hub: FakeHub['hub']) => Promise<unknown>, string]>([
    ['an empty topic', (hub) => hub.publish('', 1), 'topic'],
    ['a topic with NUL', (hub) => hub.publish('a\0', 1), 'topic'],
    ['what JSON cannot hold', (hub) => hub.publish('t', { a: [1, undefined] }), 'data.a[1]'],
    ['bytes without binary', (hub) => hub.publish('t', Buffer.alloc(1)), 'data'],
    ['text as binary', (hub) => hub.publish('t', 'x', { binary: true }), 'data'],
    ['an id that is none', (hub) => hub.publish('t', 1, { except: ['a', ''] }), 'options.except[1]'],
    ['except that is no list', (hub) => hub.publish('t', 1, { except: {} as string }), 'options.except'],
    ['no size', (hub) => hub.publish('t', 1, { history: { size: 0, ttl: 1 } }), 'options.history.size'],
    [
      'a position',
      (hub) => hub.subscribe('t', 'a', { since: { epoch: 'e', offset: -1 } }),
      'options.since.offset',
    ],
    ['no channel', (hub) => hub.subscribe('t', ''), 'channelId'],
    ['a limit', (hub) => hub.history('t', { limit: 0 }), 'options.limit'],
  ])('refuses %s before any I/O', async (_, call, path) => {
    const { hub, backplane } = await hubs.add();
    await expect(call(hub)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', path });
    expect(backplane.calls).toEqual([]);
  });

  it('opens the hub at the first use, and keeps the order of what came before', async () => {
    const { hub, channels, backplane } = hubs.create();
    channels.open('a');
    backplane.openFailures = 1;
    await expect(hub.publish('t', 0)).rejects.toThrow('nobody there');
    const subscribed = hub.subscribe('t', 'a');
    await subscribed;
    await Promise.all([hub.publish('t', 1), hub.publish('t', 2)]);
    expect(channels.data('a')).toEqual([1, 2]);
    await hub.close();
    await hub.close();
    expect(hubs.store.isClosed).toBe(true);
    await expect(hub.publish('t', 1)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('schemas', () => {
  it('check the data, and what they make of it is sent', async () => {
    const schema = z.object({ items: z.array(z.object({ n: z.coerce.number() })) });
    const { hub, channels } = await hubs.add({ topics: { 'orders.*': { schema }, 'orders.raw': {} } });
    channels.open('a');
    await hub.subscribe('orders.new', 'a');
    await hub.publish('orders.new', { items: [{ n: '7', more: true }] });
    expect(channels.data('a')).toEqual([{ items: [{ n: 7 }] }]);
    await expect(hub.publish('orders.new', { items: [{ n: 1 }, { n: 'x' }] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      path: 'data.items[1].n',
    });
    await hub.publish('orders.raw', 'anything');
    expect(channels.data('a')).toHaveLength(1);
  });

  it('that take their time keep the order of the calls', async () => {
    const release: (() => void)[] = [];
    const schema: StandardSchemaV1 = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) =>
          value === 'slow' || value === 'wrong'
            ? new Promise((resolve) => {
                release.push(() => resolve(value === 'slow' ? { value } : { issues: [{ message: 'no' }] }));
              })
            : { value },
      },
    };
    const { hub, channels } = await hubs.add({ topics: { t: { schema } } });
    channels.open('a');
    await hub.subscribe('t', 'a');
    const slow = hub.publish('t', 'slow');
    const wrong = hub.publish('t', 'wrong');
    const quick = hub.publish('t', 'quick');
    for (const go of release.toReversed()) go();
    await slow;
    await expect(wrong).rejects.toMatchObject({ path: 'data', problem: 'no' });
    await quick;
    expect(channels.data('a')).toEqual(['slow', 'quick']);
    const now = hub.publish('t', 'now');
    expect(channels.data('a')).toEqual(['slow', 'quick', 'now']);
    await now;
  });

  it.each([
    [{ '**.a': {} }, 'topics["**.a"]'],
    [{ t: { schema: {} as StandardSchemaV1 } }, 'topics["t"].schema'],
    [{ t: { history: { size: 1.5, ttl: '1h' } } }, 'topics["t"].history.size'],
    [{ t: { history: { size: 1, ttl: 'soon' } } }, 'topics["t"].history.ttl'],
  ])('and other options that are wrong are refused: %j', (topics, path) => {
    expect(() => hubs.create({ topics })).toThrow(expect.objectContaining({ path }) as Error);
  });
});

describe('transactions', () => {
  function transaction() {
    const registered: (() => void | Promise<void>)[] = [];
    const current = { afterCommit: (fn: () => void | Promise<void>) => void registered.push(fn) };
    const ambient: { currentTransaction: typeof current | undefined } = { currentTransaction: current };
    return {
      ambient,
      commit: async () => {
        ambient.currentTransaction = undefined;
        for (const fn of registered) await fn();
      },
    };
  }

  it('hold a publish back until the commit where the backplane has no part in them', async () => {
    const { ambient, commit } = transaction();
    const { hub, channels, backplane } = await hubs.add({ transactions: ambient });
    channels.open('a');
    ambient.currentTransaction = undefined;
    await hub.subscribe('t', 'a');
    const other = transaction();
    ambient.currentTransaction = other.ambient.currentTransaction;
    expect(await hub.publish('t', 1)).toEqual({ local: 1 });
    expect(await hub.publish('t', 2, { history: HISTORY })).toEqual({ local: 1 });
    await expect(hub.publish('t', undefined)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(channels.data('a')).toEqual([]);
    expect(backplane.calls).not.toContain('publish t');
    ambient.currentTransaction = undefined;
    await other.commit();
    await eventually(() => expect(channels.data('a')).toEqual([1, 2]));
    await commit();
  });

  it('take a publish in where the backplane is part of them, and local members get it after the commit', async () => {
    const { ambient, commit } = transaction();
    const { hub, channels, backplane } = await hubs.add();
    channels.open('a');
    await hub.subscribe('t', 'a');
    backplane.ambient = ambient;
    expect(await hub.publish('t', 1)).toEqual({ local: 1 });
    expect(await hub.publish('t', 2, { history: HISTORY })).toMatchObject({ local: 1, offset: 1 });
    expect(backplane.calls.filter((call) => call === 'publish t')).toHaveLength(2);
    expect(channels.data('a')).not.toContain(1);
    await commit();
    expect(channels.data('a')).toContain(1);
  });
});

describe('others', () => {
  it('are not harmed by a channel that ends while a message is given out', async () => {
    const { hub, channels } = await hubs.add();
    for (const id of ['a', 'b', 'c']) {
      channels.open(id);
      await hub.subscribe('t', id);
    }
    const deliver = channels.deliver.bind(channels);
    jest.spyOn(channels, 'deliver').mockImplementation((id, frame) => {
      if (id !== 'b') return deliver(id, frame);
      channels.close('b');
      return false;
    });
    expect(await hub.publish('t', 1)).toEqual({ local: 3 });
    expect(channels.data('a')).toEqual([1]);
    expect(channels.data('c')).toEqual([1]);
    expect(await hub.publish('t', 2)).toEqual({ local: 2 });
  });

  it('are told when messages of a topic are lost', async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const { hub, channels, backplane } = await hubs.add();
    channels.open('a');
    await hub.subscribe('t', 'a');
    backplane.receiver!.onGap('t', { epoch: 'e9', offset: 41 });
    backplane.receiver!.onGap('unknown', { epoch: 'e9', offset: 41 });
    expect(channels.messages('a')).toEqual([
      { event: 'nestbox:gap', data: { topic: 't', epoch: 'e9', offset: 41 } },
    ]);
  });
});
