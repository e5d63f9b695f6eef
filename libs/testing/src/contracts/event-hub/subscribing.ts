/// <reference types="jest" />
import { numbers } from '../kv/subject.js';
import { ODD_NAMES } from '../channels/names.js';
import type { EventHubSuite } from './subject.js';

export function subscribing(suite: EventHubSuite): void {
  describe('subscriptions', () => {
    it('are seen by whoever shares the data, and made once', async () => {
      const { hub, other, add } = await suite.shared();
      await add('seen a', 'seen b');
      expect(await hub.getChannelIdsForTopic('seen')).toEqual([]);
      expect(await hub.subscribe('seen', 'seen a')).toBe(true);
      expect(await other.subscribe('seen', 'seen a')).toBe(true);
      expect(await other.subscribe('seen', 'seen b')).toBe(true);
      expect((await hub.getChannelIdsForTopic('seen')).toSorted()).toEqual(['seen a', 'seen b']);
      expect(await other.countForTopic('seen')).toBe(2);
      expect(await other.getTopicsForChannel('seen a')).toEqual(['seen']);
    });

    it('end once, and only those that were', async () => {
      const { hub, other, add } = await suite.shared();
      await add('end a', 'end b');
      await hub.subscribe('end', 'end a');
      await hub.subscribe('end', 'end b');
      await hub.subscribe('end too', 'end a');
      expect(await other.unsubscribe('end', 'end a')).toBe(true);
      expect(await hub.unsubscribe('end', 'end a')).toBe(false);
      expect(await hub.unsubscribe('never', 'end a')).toBe(false);
      expect(await hub.unsubscribe('end', 'nobody')).toBe(false);
      expect(await hub.getChannelIdsForTopic('end')).toEqual(['end b']);
      expect(await hub.getTopicsForChannel('end a')).toEqual(['end too']);
      expect(await hub.subscribe('end', 'end a')).toBe(true);
      expect(await hub.countForTopic('end')).toBe(2);
    });

    it('of one channel can end all at once', async () => {
      const { hub, other, add } = await suite.shared();
      await add('all a', 'all b');
      for (const topic of ['all 1', 'all 2', 'all 3']) await hub.subscribe(topic, 'all a');
      await hub.subscribe('all 1', 'all b');
      await other.unsubscribeAll('all a');
      await other.unsubscribeAll('all a');
      await other.unsubscribeAll('nobody');
      expect(await hub.getTopicsForChannel('all a')).toEqual([]);
      expect(await hub.getChannelIdsForTopic('all 1')).toEqual(['all b']);
      expect(await hub.countForTopic('all 2')).toBe(0);
    });

    it('of several channels are read together', async () => {
      const { hub, other, add } = await suite.shared();
      await add('several a', 'several b', 'several c');
      await hub.subscribe('several 1', 'several a');
      await hub.subscribe('several 2', 'several a');
      await hub.subscribe('several 1', 'several b');
      const found = await other.getTopicsForChannels([
        'several b',
        'several a',
        'several c',
        'no',
        'several a',
      ]);
      expect([...found.keys()].toSorted()).toEqual(['several a', 'several b']);
      expect(found.get('several a')!.toSorted()).toEqual(['several 1', 'several 2']);
      expect(found.get('several b')).toEqual(['several 1']);
      expect(await hub.getTopicsForChannels([])).toEqual(new Map());
      expect(await hub.getTopicsForChannel('no')).toEqual([]);
    });

    it('of a channel that does not exist are refused where the backend knows', async () => {
      const { hub } = await suite.shared();
      const subscribed = !suite.capabilities.refusesUnknownChannels;
      expect(await hub.subscribe('unknown', 'nobody at all')).toBe(subscribed);
      expect(await hub.countForTopic('unknown')).toBe(subscribed ? 1 : 0);
      await hub.unsubscribeAll('nobody at all');
    });

    it('may have any names', async () => {
      const { hub, other, add, channels } = await suite.shared();
      await add(...ODD_NAMES);
      const pairs = ODD_NAMES.map((name, i) => [name, ODD_NAMES[(i + 1) % ODD_NAMES.length]!] as const);
      await Promise.all(pairs.map(([topic, id]) => hub.subscribe(topic, id)));
      for (const [topic, id] of pairs) {
        expect(await other.getChannelIdsForTopic(topic)).toEqual([id]);
        expect(await other.getTopicsForChannel(id)).toEqual([topic]);
      }
      const [first, ...rest] = pairs;
      for (const [topic, id] of rest) expect(await other.unsubscribe(topic, id)).toBe(true);
      expect(await hub.getChannelIdsForTopic(first![0])).toEqual([first![1]]);
      await channels.removeChannels(ODD_NAMES);
      expect(await hub.countForTopic(first![0])).toBe(0);
    });

    it('can be five thousand of one topic, and five hundred of one channel', async () => {
      await suite.own(async ({ hub, other, add, channels }) => {
        const ids = numbers(5000).map((i) => `channel ${i}`);
        for (let i = 0; i < ids.length; i += 1000) {
          const some = await add(...ids.slice(i, i + 1000));
          await Promise.all(some.map((id) => hub.subscribe('big', id)));
        }
        expect((await other.getChannelIdsForTopic('big')).toSorted()).toEqual(ids.toSorted());
        expect(await other.countForTopic('big')).toBe(5000);
        const topics = numbers(500).map((i) => `topic ${i}`);
        await Promise.all(topics.map((topic) => hub.subscribe(topic, ids[0]!)));
        expect((await other.getTopicsForChannel(ids[0]!)).toSorted()).toEqual(['big', ...topics].toSorted());
        await channels.removeChannels(ids.slice(0, 4000));
        expect(await other.countForTopic('big')).toBe(1000);
        expect((await other.listTopics()).topics).toEqual(['big']);
      });
    }, 60_000);
  });
}
