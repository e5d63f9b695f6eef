/// <reference types="jest" />
import type { ChannelStore, ReapedNode } from '@nestbox/channels';
import { eventually } from '../../eventually.js';
import { numbers } from '../kv/subject.js';
import type { ChannelSuite } from './subject.js';

const LONG = 60_000;
const SHORT = 200;

/** Reaps on all stores at once, again and again, until as many nodes were reaped. */
async function reapUntil(stores: ChannelStore[], count: number): Promise<ReapedNode[]> {
  const reaped: ReapedNode[] = [];
  await eventually(async () => {
    reaped.push(...(await Promise.all(stores.map((store) => store.reap()))).flat());
    return reaped.length >= count;
  });
  reaped.push(...(await Promise.all(stores.map((store) => store.reap()))).flat());
  return reaped.map(({ nodeId, channelIds }) => ({ nodeId, channelIds: channelIds.toSorted() }));
}

async function addTo(store: ChannelStore, nodeId: string, count: number): Promise<string[]> {
  const ids = numbers(count)
    .map((i) => `${nodeId} ${i}`)
    .toSorted();
  await Promise.all(ids.map((channelId) => store.addChannel({ channelId, channelName: 'chat', nodeId })));
  return ids;
}

export function nodes(suite: ChannelSuite): void {
  describe('nodes', () => {
    it('know from their heartbeat whether they were there all the time', async () => {
      await suite.own(async ({ store, other }) => {
        expect(await store.heartbeat('a', LONG)).toBe(false);
        expect(await store.heartbeat('a', LONG)).toBe(true);
        expect(await other.heartbeat('a', LONG)).toBe(true);
        expect(await store.heartbeat('b', SHORT)).toBe(false);
        await other.releaseNode('a');
        expect(await store.heartbeat('a', LONG)).toBe(false);
        await reapUntil([other], 1);
        expect(await store.heartbeat('b', LONG)).toBe(false);
      });
    });

    it('are listed with their leases and channels', async () => {
      await suite.own(async ({ store, other }) => {
        expect(await store.nodes()).toEqual([]);
        await store.heartbeat('a', LONG);
        await store.heartbeat('b', LONG * 2);
        await addTo(store, 'a', 3);
        const [a, b] = (await other.nodes()).toSorted((x, y) => (x.nodeId < y.nodeId ? -1 : 1));
        expect(a).toMatchObject({ nodeId: 'a', channels: 3 });
        expect(a!.expiresInMs).toBeGreaterThan(LONG / 2);
        expect(a!.expiresInMs).toBeLessThanOrEqual(LONG);
        expect(b).toMatchObject({ nodeId: 'b', channels: 0 });
        expect(b!.expiresInMs).toBeGreaterThan(LONG);
        await store.releaseNode('a');
        expect((await other.nodes()).map(({ nodeId }) => nodeId)).toEqual(['b']);
      });
    });

    it('take their channels with them when they are released', async () => {
      await suite.own(async ({ store, other }) => {
        for (const nodeId of ['a', 'b']) await store.heartbeat(nodeId, LONG);
        const ids = await addTo(store, 'a', 20);
        const [kept] = await addTo(store, 'b', 1);
        await store.addChannel({ channelId: 'free', channelName: 'chat' });
        // Taken over, so it is no longer the first one's.
        await store.addChannel({ channelId: ids[0]!, channelName: 'chat', nodeId: 'b' });
        await store.setUserSession(ids[1]!, { userId: 'gone' });
        expect((await other.releaseNode('a')).toSorted()).toEqual(ids.slice(1));
        expect(await other.releaseNode('a')).toEqual([]);
        expect(await other.releaseNode('unknown')).toEqual([]);
        const left = await store.getChannels([...ids, kept!, 'free']);
        expect([...left.keys()].toSorted()).toEqual([ids[0]!, kept!, 'free'].toSorted());
        expect(await store.findByUser('gone')).toEqual([]);
        expect(await store.count()).toBe(3);
      });
    });

    it('that died are reaped once, whoever does, and those alive are left alone', async () => {
      await suite.own(async ({ store, other }) => {
        await store.heartbeat('live', LONG);
        const live = await addTo(store, 'live', 5);
        const dead = ['dead 1', 'dead 2', 'dead 3'];
        for (const nodeId of dead) await store.heartbeat(nodeId, SHORT);
        const ids = await Promise.all(dead.map((nodeId) => addTo(store, nodeId, 10)));
        const reaped = await reapUntil([store, other, store, other], 3);
        expect(reaped.toSorted((x, y) => (x.nodeId < y.nodeId ? -1 : 1))).toEqual(
          dead.map((nodeId, i) => ({ nodeId, channelIds: ids[i] })),
        );
        expect((await store.getChannels([...ids.flat(), ...live])).size).toBe(5);
        expect((await other.nodes()).map(({ nodeId }) => nodeId)).toEqual(['live']);
      });
    });

    it('that renew in time, or have no channels, are treated as they should', async () => {
      await suite.own(async ({ store, other }) => {
        await store.heartbeat('renewed', 5000);
        await addTo(store, 'renewed', 2);
        await store.heartbeat('empty', SHORT);
        expect(await store.heartbeat('renewed', LONG)).toBe(true);
        expect(await reapUntil([other], 1)).toEqual([{ nodeId: 'empty', channelIds: [] }]);
        expect(await store.count()).toBe(2);
        expect((await other.nodes())[0]!.expiresInMs).toBeGreaterThan(5000);
      });
    });

    it('are told whose channel they take over, each of another one when many do at once', async () => {
      await suite.own(async ({ store, other }) => {
        const add = (one: ChannelStore, channelId: string, nodeId?: string): Promise<string | undefined> =>
          one.addChannel({ channelId, channelName: 'chat', ...(nodeId !== undefined && { nodeId }) });
        expect(await add(store, 'x')).toBeUndefined();
        expect(await add(store, 'x', 'a')).toBeUndefined();
        expect(await add(other, 'x', 'b')).toBe('a');
        expect(await add(other, 'x', 'b')).toBe('b');
        expect(await add(store, 'x')).toBe('b');
        expect(await add(store, 'x', 'a')).toBeUndefined();

        for (const channelId of ['x', 'new 1', 'new 2', 'new 3']) {
          const newcomers = numbers(20).map((i) => `node ${i}`);
          const told = await Promise.all(
            newcomers.map((nodeId, i) => add(i % 2 === 0 ? store : other, channelId, nodeId)),
          );
          const last = (await store.locate([channelId])).get(channelId);
          const expected = [
            ...newcomers.filter((nodeId) => nodeId !== last),
            channelId === 'x' ? 'a' : undefined,
          ];
          expect(told.map(String).toSorted()).toEqual(expected.map(String).toSorted());
        }
      });
    });

    it('remove what is theirs, and leave what others have taken over', async () => {
      await suite.own(async ({ store, other }) => {
        const ids = await addTo(store, 'a', 4);
        await addTo(store, 'b', 1);
        await store.addChannel({ channelId: 'free', channelName: 'chat' });
        await other.addChannel({ channelId: ids[0]!, channelName: 'chat', nodeId: 'b' });
        await store.removeChannels([ids[0]!], { nodeId: 'a' });
        await store.removeChannels([...ids.slice(0, 3), 'free', 'b 0', 'unknown'], { nodeId: 'a' });
        const left = await other.locate([...ids, 'free', 'b 0']);
        expect(new Map(left)).toEqual(
          new Map([
            [ids[0]!, 'b'],
            [ids[3]!, 'a'],
            ['free', null],
            ['b 0', 'b'],
          ]),
        );
        await store.removeChannels([ids[3]!], { nodeId: 'a' });
        expect(await store.count()).toBe(3);
      });
    });
  });
}
