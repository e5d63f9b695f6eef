/// <reference types="jest" />
import { eventually } from '../../eventually.js';
import type { EventHubSuite, HubScene } from './subject.js';

/** Ways in which channels of the instance `node` go. */
const WAYS: [string, (scene: HubScene) => Promise<unknown>][] = [
  ['are removed', ({ otherChannels }) => otherChannels.removeChannels(['gone 1', 'gone 2'])],
  ['belong to an instance that is released', ({ otherChannels }) => otherChannels.releaseNode('node')],
  [
    'belong to an instance whose lease ends',
    async ({ channels, otherChannels }) => {
      await channels.heartbeat('node', 1);
      await eventually(async () => (await otherChannels.reap()).length === 1);
    },
  ],
  [
    'are stale',
    async ({ channels, otherChannels }) => {
      let removed = 0;
      await eventually(async () => {
        await channels.touch(['stays']);
        removed += (await otherChannels.removeStale('1500ms')).length;
        return removed === 2;
      });
    },
  ],
];

export function removal(suite: EventHubSuite): void {
  describe('subscriptions end with their channels when those', () => {
    it.each(WAYS)('%s', async (_, remove) => {
      await suite.own(async (scene) => {
        const { channels, hub, other } = scene;
        await channels.heartbeat('node', 60_000);
        for (const channelId of ['gone 1', 'gone 2']) {
          await channels.addChannel({ channelId, channelName: 'chat', nodeId: 'node' });
        }
        await scene.add('stays');
        for (const id of ['gone 1', 'gone 2', 'stays']) await hub.subscribe('common', id);
        await hub.subscribe('theirs', 'gone 1');
        await remove(scene);
        expect(await other.getChannelIdsForTopic('common')).toEqual(['stays']);
        expect(await other.getTopicsForChannel('gone 1')).toEqual([]);
        expect(await other.getTopicsForChannels(['gone 1', 'gone 2'])).toEqual(new Map());
        expect(await other.countForTopic('theirs')).toBe(0);
        expect(await other.listTopics()).toEqual({ topics: ['common'] });
        // It begins anew, without them.
        await scene.add('gone 1');
        expect(await hub.getTopicsForChannel('gone 1')).toEqual([]);
      });
    });
  });

  it('keeps the subscriptions of a channel that is added again', async () => {
    const { hub, add } = await suite.shared();
    await add('readded');
    await hub.subscribe('readded topic', 'readded');
    await add('readded');
    expect(await hub.getTopicsForChannel('readded')).toEqual(['readded topic']);
    expect(await hub.getChannelIdsForTopic('readded topic')).toEqual(['readded']);
  });
}
