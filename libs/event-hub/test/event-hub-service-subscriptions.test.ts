import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { eventually } from '@nestbox/testing';
import { FakeHubs } from './support/fake-hubs.js';

let hubs: FakeHubs;
beforeEach(() => {
  hubs = new FakeHubs();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await hubs.close();
});

describe('subscribe', () => {
  it('twice is as good as once', async () => {
    const { hub, channels, backplane } = await hubs.add();
    channels.open('a');
    await Promise.all([hub.subscribe('t', 'a'), hub.subscribe('t', 'a')]);
    await hub.publish('t', 1);
    expect(channels.data('a')).toEqual([1]);
    expect(hub.figures).toEqual({ topics: 1, members: 1, handlers: 0 });
    expect(backplane.joins.get('t')).toBe(1);
    expect(await hub.unsubscribe('t', 'a')).toBe(true);
    expect(await hub.unsubscribe('t', 'a')).toBe(false);
    expect(backplane.joins.has('t')).toBe(false);
    await hub.publish('t', 2);
    expect(channels.data('a')).toEqual([1]);
  });

  it('and unsubscribe settle in the order of the calls', async () => {
    const { hub, channels } = await hubs.add();
    channels.open('a');
    hubs.network.delay = () => Math.floor(Math.random() * 4);
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) {
      calls.push(hub.subscribe('t', 'a'), hub.unsubscribe('t', 'a'));
      if (i % 5 === 4) calls.push(hub.subscribe('u', 'a'), hub.unsubscribeAll('a'));
    }
    calls.push(hub.subscribe('t', 'a'), hub.unsubscribeAll('a'), hub.subscribe('last', 'a'));
    await Promise.all(calls);
    expect(await hubs.store.getTopicsForChannel('a')).toEqual(['last']);
    expect(hub.figures).toMatchObject({ topics: 1, members: 1 });
  });

  it('joins a topic once for all members, and leaves it with the last', async () => {
    const { hub, channels, backplane } = await hubs.add();
    for (const id of ['a', 'b']) channels.open(id);
    await Promise.all([hub.subscribe('t', 'a'), hub.subscribe('t', 'b')]);
    channels.close('a');
    expect(backplane.joins.get('t')).toBe(1);
    channels.close('b');
    expect(backplane.calls).toEqual(['join t', 'leave t']);
    expect(hub.figures).toMatchObject({ topics: 0, members: 0 });
  });

  it('is refused for a channel that the store, or nobody, knows, and leaves nothing', async () => {
    const { hub, channels, backplane } = await hubs.add();
    channels.open('a');
    hubs.store.refuses = true;
    await expect(hub.subscribe('t', 'a')).rejects.toMatchObject({
      code: 'CHANNEL_NOT_FOUND',
      channelId: 'a',
    });
    hubs.store.refuses = false;
    await expect(hub.subscribe('t', 'nobody')).rejects.toMatchObject({ code: 'CHANNEL_NOT_FOUND' });
    expect(await hubs.store.getTopicsForChannel('nobody')).toEqual([]);
    expect(backplane.joins.size).toBe(0);
    expect(hub.figures).toMatchObject({ topics: 0, members: 0 });
  });

  it('fails as a whole when the link or the store does, and works when they are back', async () => {
    const { hub, channels, backplane } = await hubs.add();
    channels.open('a');
    backplane.joinFailure = new Error('no link');
    await expect(hub.subscribe('t', 'a')).rejects.toThrow('no link');
    backplane.joinFailure = undefined;
    hubs.store.failure = new Error('no store');
    await expect(hub.subscribe('t', 'a')).rejects.toThrow('no store');
    hubs.store.failure = undefined;
    expect(hub.figures.members).toBe(0);
    await hub.subscribe('t', 'a');
    await hub.publish('t', 1);
    expect(channels.data('a')).toEqual([1]);
    expect(backplane.joins.get('t')).toBe(1);
  });

  it('ends with a channel that closes meanwhile', async () => {
    const { hub, channels } = await hubs.add();
    channels.open('a');
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    hubs.store.delay = () => opened;
    const subscribing = hub.subscribe('t', 'a');
    await eventually(() => expect(hub.figures.members).toBe(1));
    channels.close('a');
    open();
    await expect(subscribing).rejects.toMatchObject({ code: 'CHANNEL_NOT_FOUND' });
    await eventually(async () => expect(await hubs.store.getTopicsForChannel('a')).toEqual([]));
    expect(hub.figures.members).toBe(0);
  });
});

describe('a channel of another instance', () => {
  it('is subscribed there, with what it missed, and unsubscribed', async () => {
    const options = { topics: { t: { history: { size: 10, ttl: '1h' } } } };
    const one = await hubs.add(options);
    const two = await hubs.add(options);
    two.channels.open('a');
    const { epoch } = await one.hub.publish('t', 1);
    await one.hub.publish('t', 2);
    expect(await one.hub.subscribe('t', 'a', { since: { epoch: epoch!, offset: 1 } })).toEqual({
      recovered: false,
      missed: [],
      position: { epoch, offset: 2 },
    });
    expect(two.channels.data('a')).toEqual([2]);
    await one.hub.publish('t', 3);
    await eventually(() => expect(two.channels.data('a')).toEqual([2, 3]));
    expect(await one.hub.unsubscribe('t', 'a')).toBe(true);
    await eventually(() => expect(two.hub.figures.members).toBe(0));
    await one.hub.subscribe('t', 'a');
    expect(two.hub.figures.members).toBe(1);
    await one.hub.unsubscribeAll('a');
    await eventually(() => expect(two.hub.figures.members).toBe(0));
  });

  it('finds out by itself when nobody could tell it', async () => {
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const one = await hubs.add();
    const two = await hubs.add({ resyncInterval: 20 });
    two.channels.open('a');
    one.channels.relayFailure = new Error('lost');
    const subscribing = one.hub.subscribe('t', 'a');
    await expect(subscribing).rejects.toMatchObject({ code: 'BACKPLANE_FAILED', cause: new Error('lost') });
    await eventually(() => expect(two.hub.figures.members).toBe(1));
    await one.hub.publish('t', 1);
    await eventually(() => expect(two.channels.data('a')).toEqual([1]));
    await one.hub.unsubscribe('t', 'a');
    await eventually(() => expect(two.hub.figures.members).toBe(0));
  });

  it('finds out when the link is there again', async () => {
    const one = await hubs.add();
    const two = await hubs.add();
    two.channels.open('a');
    one.channels.losesRelays = true;
    const subscribing = one.hub.subscribe('t', 'a');
    await eventually(async () => expect(await hubs.store.getTopicsForChannel('a')).toEqual(['t']));
    two.backplane.receiver!.onRecovered();
    await eventually(() => expect(two.hub.figures.members).toBe(1));
    // Nobody waits for an answer longer than the hub is there.
    const ended = subscribing.catch((error: unknown) => error);
    await one.hub.close();
    expect(await ended).toMatchObject({ code: 'CLOSED' });
  });

  it('is subscribed where the hub was not in use so far', async () => {
    const one = await hubs.add();
    const two = hubs.create();
    two.channels.open('a');
    await one.hub.subscribe('t', 'a');
    await one.hub.publish('t', 1);
    await eventually(() => expect(two.channels.data('a')).toEqual([1]));
  });

  it('is subscribed after the commit, for what is published once the transaction is over', async () => {
    const one = await hubs.add();
    const two = await hubs.add();
    two.channels.open('a');
    const hooks: (() => void | Promise<void>)[] = [];
    one.channels.currentTransaction = { afterCommit: (hook) => void hooks.push(hook) };
    await one.hub.subscribe('t', 'a');
    await expect(one.hub.subscribe('t', 'nobody')).rejects.toMatchObject({ code: 'CHANNEL_NOT_FOUND' });
    expect([one.channels.relays, two.hub.figures.members]).toEqual([[], 0]);
    one.channels.currentTransaction = undefined;
    for (const hook of hooks.splice(0)) await hook();
    await one.hub.publish('t', 1);
    await eventually(() => expect(two.channels.data('a')).toEqual([1]));
  });

  it('that has ended by the commit is nobody’s trouble', async () => {
    const one = await hubs.add();
    const two = await hubs.add();
    two.channels.open('a');
    let hook = (): void | Promise<void> => undefined;
    one.channels.currentTransaction = { afterCommit: (given) => void (hook = given) };
    await one.hub.subscribe('t', 'a');
    two.channels.close('a');
    await hubs.store.subscribe('t', 'a');
    await hook();
    expect(await hubs.store.getTopicsForChannel('a')).toEqual([]);
  });

  it('that has come to the asking instance by the commit is subscribed there', async () => {
    const one = await hubs.add();
    const two = await hubs.add();
    two.channels.open('a');
    let hook = (): void | Promise<void> => undefined;
    one.channels.currentTransaction = { afterCommit: (given) => void (hook = given) };
    await one.hub.subscribe('t', 'a');
    one.channels.open('a');
    await hook();
    await two.hub.publish('t', 1);
    await eventually(() => expect(one.channels.data('a')).toEqual([1]));
  });

  it('is not subscribed twice when it is asked twice, and ends as it does there', async () => {
    const one = await hubs.add();
    const two = await hubs.add();
    two.channels.open('a');
    await Promise.all([
      one.hub.subscribe('t', 'a'),
      one.hub.subscribe('t', 'a'),
      two.hub.subscribe('t', 'a'),
    ]);
    await one.hub.publish('t', 1);
    await eventually(() => expect(two.channels.data('a')).toEqual([1]));
    two.backplane.joinFailure = new Error('no link there');
    await expect(one.hub.subscribe('u', 'a')).rejects.toThrow('no link there');
    expect(two.hub.figures.members).toBe(1);
  });

  it('is not undone by a comparison that read before a change', async () => {
    const { hub, channels, backplane } = await hubs.add();
    channels.open('a');
    await hub.subscribe('stays', 'a');
    for (let i = 0; i < 20; i++) {
      let turns = 0;
      hubs.store.delay = async () => {
        for (turns = i % 5; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      };
      backplane.receiver!.onRecovered();
      const subscribed = hub.subscribe('t', 'a');
      backplane.receiver!.onRecovered();
      await subscribed;
      expect(hub.figures.members).toBe(2);
      backplane.receiver!.onRecovered();
      await hub.unsubscribe('t', 'a');
      expect(hub.figures.members).toBe(1);
    }
  });
});

describe('channels that are removed', () => {
  it('lose their subscriptions in stores that do not see to it themselves', async () => {
    const { hub, channels } = await hubs.add();
    for (const id of ['a', 'b']) {
      channels.open(id);
      await hub.subscribe('t', id);
    }
    channels.close('a');
    await eventually(async () => expect(await hubs.store.getTopicsForChannel('a')).toEqual([]));
    await channels.remove(['b', 'unknown']);
    expect(await hubs.store.getChannelIdsForTopic('t')).toEqual([]);
  });

  it('keep them where a newer connection goes on, here or on another instance, or has come back', async () => {
    const { hub, channels } = await hubs.add();
    const { channels: elsewhere } = await hubs.add();
    for (const id of ['a', 'b', 'c']) {
      channels.open(id);
      await hub.subscribe('t', id);
    }
    channels.giveTo('a', channels);
    channels.giveTo('b', elsewhere);
    channels.close('c');
    elsewhere.open('c');
    await hub.close();
    expect((await hubs.store.getChannelIdsForTopic('t')).toSorted()).toEqual(['a', 'b', 'c']);
  });

  it('are the store’s where it does', async () => {
    const { hub, channels } = await hubs.add({ cascades: true });
    channels.open('a');
    await hub.subscribe('t', 'a');
    channels.close('a');
    await channels.remove(['a']);
    expect(await hubs.store.getChannelIdsForTopic('t')).toEqual(['a']);
  });
});
