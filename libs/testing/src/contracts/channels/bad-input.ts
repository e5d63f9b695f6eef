/// <reference types="jest" />
import type { ChannelStore } from '@nestbox/channels';
import { InvalidArgumentError } from '@nestbox/core';
import { failureOf } from '../kv/subject.js';
import { BAD_NAMES } from './names.js';
import type { ChannelSuite } from './subject.js';

async function expectRefused(call: Promise<unknown>, path: string): Promise<void> {
  const error = await failureOf(call);
  expect(error).toBeInstanceOf(InvalidArgumentError);
  expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', path });
}

/** Calls that take a name, and the path of it. */
const NAMED: [string, (store: ChannelStore, name: never) => Promise<unknown>][] = [
  ['channelId', (store, name) => store.addChannel({ channelId: name, channelName: 'chat' })],
  ['channelName', (store, name) => store.addChannel({ channelId: 'bad', channelName: name })],
  ['channelId', (store, name) => store.setUserSession(name, {})],
  ['channelId', (store, name) => store.getChannelAndSession(name)],
  ['userId', (store, name) => store.findByUser(name)],
  ['nodeId', (store, name) => store.heartbeat(name, 1000)],
  ['nodeId', (store, name) => store.releaseNode(name)],
];

const LISTED: [string, (store: ChannelStore, ids: never) => Promise<unknown>][] = [
  ['removeChannels', (store, ids) => store.removeChannels(ids)],
  ['getChannels', (store, ids) => store.getChannels(ids)],
  ['touch', (store, ids) => store.touch(ids)],
  ['locate', (store, ids) => store.locate(ids)],
];

export function badInput(suite: ChannelSuite): void {
  describe('bad input is refused with its path:', () => {
    it.each(BAD_NAMES)('for a name, %s', async (_, name) => {
      const { store } = await suite.shared();
      for (const [path, call] of NAMED) await expectRefused(call(store, name as never), path);
      if (name !== undefined) {
        const channel = { channelId: 'bad', channelName: 'chat', nodeId: name as never };
        await expectRefused(store.addChannel(channel), 'nodeId');
        await expectRefused(store.removeChannels(['bad'], { nodeId: name as never }), 'nodeId');
        await expectRefused(store.list({ name: name as never }), 'name');
      }
      for (const [, call] of LISTED) {
        await expectRefused(call(store, ['good', name, 'good'] as never), 'channelIds[1]');
      }
      expect((await store.getChannels(['bad'])).size).toBe(0);
    });

    it.each(LISTED)('for the list of %s, what is no array', async (_, call) => {
      const { store } = await suite.shared();
      for (const ids of ['id', null, undefined, new Set(['id']), { length: 0 }]) {
        await expectRefused(call(store, ids as never), 'channelIds');
      }
    });

    it('for a session, what is no object of JSON', async () => {
      const { store } = await suite.shared();
      await store.addChannel({ channelId: 'strict', channelName: 'chat' });
      const set = (session: unknown) => store.setUserSession('strict', session as never);
      for (const session of [[], ['a'], 'text', 5, true, undefined]) {
        await expectRefused(set(session), 'session');
      }
      await expectRefused(set({ a: { b: undefined } }), 'session.a.b');
      await expectRefused(set({ at: new Date() }), 'session.at');
      await expectRefused(set({ list: [1, Number.NaN] }), 'session.list[1]');
      await expectRefused(set({ big: 1n }), 'session.big');
      await expectRefused(set({ text: 'a\0b' }), 'session.text');
      await expectRefused(set({ userId: 'x'.repeat(513) }), 'session.userId');
      expect((await store.getChannelAndSession('strict')).session).toBeNull();
    });

    it('for opening data, what is no object of JSON', async () => {
      const { store } = await suite.shared();
      const add = (openingData: unknown) =>
        store.addChannel({ channelId: 'never', channelName: 'chat', openingData: openingData as never });
      for (const openingData of [[], 'text', 5, true, null])
        await expectRefused(add(openingData), 'openingData');
      await expectRefused(add({ at: new Date() }), 'openingData.at');
      await expectRefused(add({ a: undefined }), 'openingData.a');
      for (const channel of [undefined, null, 'text']) {
        await expectRefused(store.addChannel(channel as never), 'channel');
      }
      expect((await store.getChannels(['never'])).size).toBe(0);
    });

    it('for pages, durations and leases, what makes no sense', async () => {
      const { store } = await suite.shared();
      for (const limit of [0, -1, 1001, 1.5, '5', Number.NaN]) {
        await expectRefused(store.list({ limit: limit as never }), 'limit');
      }
      for (const cursor of ['', 'nonsense!', 'é', 5, null]) {
        await expectRefused(store.list({ cursor: cursor as never }), 'cursor');
      }
      for (const leaseMs of [0, -1, 1.5, Number.NaN, '5']) {
        await expectRefused(store.heartbeat('node', leaseMs as never), 'leaseMs');
      }
      for (const age of [-1, 'soon', null]) await expectRefused(store.removeStale(age as never), 'olderThan');
    });
  });
}
