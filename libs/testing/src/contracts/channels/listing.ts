/// <reference types="jest" />
import type { ChannelStore, ChannelSummary } from '@nestbox/channels';
import { compareUtf8 } from '@nestbox/core';
import { eventually } from '../../eventually.js';
import { numbers } from '../kv/subject.js';
import { ODD_NAMES } from './names.js';
import type { ChannelSuite } from './subject.js';

async function listAll(store: ChannelStore, limit: number, name?: string): Promise<ChannelSummary[]> {
  const all: ChannelSummary[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.list({
      limit,
      ...(cursor !== undefined && { cursor }),
      ...(name !== undefined && { name }),
    });
    expect(page.channels.length).toBeLessThanOrEqual(limit);
    all.push(...page.channels);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return all;
}

export function listing(suite: ChannelSuite): void {
  describe('lists', () => {
    it('have every channel once, page by page', async () => {
      await suite.own(async ({ store, other }) => {
        const ids = [...numbers(30).map((i) => `id ${i}`), ...ODD_NAMES];
        expect(await other.list()).toEqual({ channels: [] });
        const name = (id: string) => (id.startsWith('id') ? 'even' : 'odd');
        await Promise.all(ids.map((id) => store.addChannel({ channelId: id, channelName: name(id) })));
        expect(await other.count()).toBe(ids.length);
        const sorted = ids.toSorted(compareUtf8);
        for (const limit of [1, 7, 54, 1000]) {
          const listed = (await listAll(other, limit)).map(({ channelId }) => channelId);
          expect(suite.capabilities.ordered ? listed : listed.toSorted(compareUtf8)).toEqual(sorted);
        }
        const odd = (await listAll(other, 5, 'odd')).map(({ channelId }) => channelId);
        expect(odd.toSorted(compareUtf8)).toEqual(ODD_NAMES.toSorted(compareUtf8));
        expect(await listAll(other, 5, 'no such')).toEqual([]);
      });
    });

    it('say who owns a channel, when it was opened and when it was last in use', async () => {
      await suite.own(async ({ store }) => {
        const before = Date.now() - 5000;
        await store.addChannel({ channelId: 'a', channelName: 'chat', nodeId: 'node' });
        await store.addChannel({ channelId: 'b', channelName: 'chat' });
        const read = async (id: string) =>
          (await store.list()).channels.find(({ channelId }) => channelId === id)!;
        const [a, b] = [await read('a'), await read('b')];
        expect(a).toMatchObject({ channelName: 'chat', nodeId: 'node' });
        expect(b.nodeId).toBeNull();
        expect(a.createdAt).toBeInstanceOf(Date);
        expect(a.createdAt.getTime()).toBeGreaterThan(before);
        expect(a.lastInteraction.getTime()).toBeGreaterThanOrEqual(a.createdAt.getTime());
        await eventually(async () => {
          await store.touch(['a', 'unknown']);
          return (await read('a')).lastInteraction > a.lastInteraction;
        });
        expect((await read('a')).createdAt).toEqual(a.createdAt);
        expect((await read('b')).lastInteraction).toEqual(b.lastInteraction);
        await store.addChannel({ channelId: 'a', channelName: 'chat' });
        expect((await read('a')).createdAt).toEqual(a.createdAt);
      });
    });
  });

  describe('stale channels', () => {
    it('are removed, and those in use are not', async () => {
      await suite.own(async ({ store, other }) => {
        for (const channelId of ['idle', 'busy']) await store.addChannel({ channelId, channelName: 'chat' });
        await store.setUserSession('idle', { userId: 'idler' });
        expect(await other.removeStale('1h')).toEqual([]);
        const removed: string[] = [];
        await eventually(async () => {
          await store.touch(['busy']);
          removed.push(...(await other.removeStale('1500ms')));
          return removed.length > 0;
        });
        expect(removed).toEqual(['idle']);
        expect([...(await store.getChannels(['idle', 'busy'])).keys()]).toEqual(['busy']);
        expect(await store.findByUser('idler')).toEqual([]);
        expect(await store.count()).toBe(1);
      });
    });

    it('are each given to one caller only', async () => {
      await suite.own(async ({ store, other }) => {
        const ids = numbers(300).map((i) => `stale ${i}`);
        await Promise.all(ids.map((channelId) => store.addChannel({ channelId, channelName: 'chat' })));
        const removed: string[] = [];
        await eventually(async () => {
          const calls = [store, other, store, other].map((one) => one.removeStale(1));
          removed.push(...(await Promise.all(calls)).flat());
          return (await store.count()) === 0;
        });
        expect(removed.toSorted()).toEqual(ids.toSorted());
      });
    });
  });
}
