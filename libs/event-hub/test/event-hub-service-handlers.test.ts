import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { eventually } from '@nestbox/testing';
import type { HubMessageContext } from '@nestbox/event-hub';
import { FakeHubs } from './support/fake-hubs.js';

let hubs: FakeHubs;
beforeEach(() => {
  hubs = new FakeHubs();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await hubs.close();
});

describe('on', () => {
  it('hears the publishes of every instance, in order, each once', async () => {
    const one = await hubs.add();
    const two = await hubs.add();
    const heard = [one, two].map(({ hub }) => {
      const got: unknown[] = [];
      hub.on('t', (data) => got.push(data));
      return got;
    });
    await eventually(() => expect(two.backplane.joins.get('t')).toBe(1));
    for (let i = 0; i < 20; i++) void one.hub.publish('t', i);
    await eventually(() => expect(heard[1]).toHaveLength(20));
    expect(heard[0]).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(heard[1]).toEqual(heard[0]);
  });

  it('tells the context, with the position where there is one', async () => {
    const { hub } = await hubs.add({ topics: { kept: { history: { size: 5, ttl: 1000 } } } });
    const got: [unknown, HubMessageContext][] = [];
    await hub.on('**', (data, context) => got.push([data, context])).ready;
    await hub.publish('plain', { a: 1 });
    const { epoch } = await hub.publish('kept', Buffer.from([7]), { binary: true });
    await eventually(() => expect(got).toHaveLength(2));
    expect(got).toEqual([
      [{ a: 1 }, { topic: 'plain', binary: false, origin: 'node-1' }],
      [Buffer.from([7]), { topic: 'kept', binary: true, origin: 'node-1', epoch, offset: 1 }],
    ]);
  });

  it.each([
    ['orders', ['orders']],
    ['orders.*', ['orders.new', 'orders.*']],
    ['orders.**', ['orders', 'orders.new', 'orders.*', 'orders.new.x']],
    ['*.new', ['orders.new']],
    ['*', ['orders', '{🐣}:a', 'a*b']],
    ['a*b', ['a*b']],
    ['orders.*.x', ['orders.new.x']],
  ])('%s hears %j', async (pattern, expected) => {
    const { hub } = await hubs.add();
    const got: string[] = [];
    hub.on(pattern, (_, { topic }) => got.push(topic));
    const topics = ['orders', 'orders.new', 'orders.*', 'orders.new.x', '{🐣}:a', 'a*b'];
    for (const topic of topics) await hub.publish(topic, 1);
    await hub.drain();
    expect(got).toEqual(expected);
  });

  it('hears nothing any more once it is disposed of, and leaves', async () => {
    const { hub, backplane } = await hubs.add();
    const got: unknown[] = [];
    const listeners = [hub.on('t', (data) => got.push(data)), hub.on('*', (data) => got.push(data))];
    await Promise.all(listeners.map(({ ready }) => ready));
    expect([backplane.joins.get('t'), backplane.all]).toEqual([1, 1]);
    for (const listener of listeners) {
      listener[Symbol.dispose]();
      listener[Symbol.dispose]();
    }
    expect([backplane.joins.get('t'), backplane.all]).toEqual([undefined, 0]);
    await hub.publish('t', 1);
    await hub.drain();
    expect(got).toEqual([]);
    expect(hub.figures.handlers).toBe(0);
  });

  it('runs one message of a topic at a time, and different topics side by side', async () => {
    const { hub } = await hubs.add();
    const log: string[] = [];
    const waiting = new Map<unknown, () => void>();
    hub.on('*', async (data, { topic }) => {
      log.push(`begin ${topic}${String(data)}`);
      await new Promise<void>((resolve) => waiting.set(`${topic}${String(data)}`, resolve));
      log.push(`end ${topic}${String(data)}`);
    });
    for (const topic of ['a', 'b']) for (const n of [1, 2]) await hub.publish(topic, n);
    await eventually(() => expect(log).toEqual(['begin a1', 'begin b1']));
    waiting.get('b1')!();
    await eventually(() => expect(log).toEqual(['begin a1', 'begin b1', 'end b1', 'begin b2']));
    const drained = hub.drain(5000);
    for (const key of ['a1', 'b2']) waiting.get(key)!();
    await eventually(() => waiting.get('a2')!());
    expect(await drained).toBe(true);
    await hub.publish('a', 3);
    expect(log.filter((line) => line.includes('3'))).toEqual([]);
  });

  it('logs what a handler throws, and goes on, and harms nobody else', async () => {
    const error = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
    const { hub, channels } = await hubs.add();
    channels.open('a');
    await hub.subscribe('t', 'a');
    const got: unknown[] = [];
    hub.on('t', (data) => {
      (data as { n: number }).n = 99;
      throw new Error('oops');
    });
    hub.on('*', (data) => got.push(data));
    for (const n of [1, 2]) await hub.publish('t', { n });
    await hub.drain();
    expect(got).toEqual([{ n: 1 }, { n: 2 }]);
    expect(channels.data('a')).toEqual([{ n: 1 }, { n: 2 }]);
    expect(error).toHaveBeenCalledTimes(2);
    expect(error.mock.calls[0]![0]).toBe('The handler of "t" failed on a message of topic "t": oops');
  });

  it('drops what a slow handler cannot take, and says so once', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const { hub } = await hubs.add();
    const got: unknown[] = [];
    let release = (): void => undefined;
    const blocked = new Promise<void>((resolve) => {
      release = resolve;
    });
    hub.on('t', async (data) => {
      got.push(data);
      await blocked;
    });
    await hub.publish('t', 0);
    await eventually(() => expect(got).toHaveLength(1));
    for (let i = 1; i <= 1005; i++) await hub.publish('t', i);
    release();
    await hub.drain();
    expect(got).toEqual(Array.from({ length: 1001 }, (_, i) => i));
    expect(warn).toHaveBeenCalledTimes(1);
  });

  it('may publish in turn', async () => {
    const { hub } = await hubs.add();
    const got: unknown[] = [];
    hub.on('t', async (data) => {
      got.push(data);
      if ((data as number) < 3) await hub.publish('t', (data as number) + 1);
    });
    await hub.publish('t', 1);
    await eventually(() => expect(got).toEqual([1, 2, 3]));
  });

  it('is joined later when it cannot be now', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const { hub, backplane } = await hubs.add({ resyncInterval: 20 });
    backplane.joinFailure = new Error('no link');
    await hub.on('t', () => undefined).ready;
    expect(warn.mock.calls[0]![0]).toContain('"t" is not listened to on other instances yet: no link');
    backplane.joinFailure = undefined;
    await eventually(() => expect(backplane.joins.get('t')).toBe(1));
  });

  it('opens the hub', async () => {
    const { hub, backplane } = hubs.create();
    await hub.on('t', () => undefined).ready;
    expect(backplane.joins.get('t')).toBe(1);
  });

  it.each(['', 'a.**.b', '**.a', 7])('refuses %p', async (pattern) => {
    const { hub } = await hubs.add();
    expect(() => hub.on(pattern as string, () => undefined)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error,
    );
    expect(() => hub.on('t', 1 as never)).toThrow('must be a function');
  });
});
