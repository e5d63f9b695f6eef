/// <reference types="jest" />
import { numbers } from '../kv/subject.js';
import type { EventHubSuite } from './subject.js';

export function concurrency(suite: EventHubSuite): void {
  describe('at once', () => {
    it('channels can subscribe and unsubscribe in several stores', async () => {
      const { hub, other, add } = await suite.shared();
      const ids = await add(...numbers(50).map((i) => `busy ${i}`));
      await Promise.all(
        ids.flatMap((id, i) =>
          numbers(4).map(async (t) => {
            const [one, two] = (i + t) % 2 === 0 ? [hub, other] : [other, hub];
            expect(await one.subscribe(`busy ${t}`, id)).toBe(true);
            if (i % 5 === 0) expect(await two.unsubscribe(`busy ${t}`, id)).toBe(true);
          }),
        ),
      );
      for (const t of numbers(4)) {
        expect((await hub.getChannelIdsForTopic(`busy ${t}`)).toSorted()).toEqual(
          ids.filter((_, i) => i % 5 !== 0).toSorted(),
        );
      }
    });

    it('one subscription ends for one caller only', async () => {
      const { hub, other, add } = await suite.shared();
      await add('contended');
      for (const _ of numbers(10)) {
        await hub.subscribe('contended', 'contended');
        const ended = await Promise.all(
          [hub, other, hub, other].map((one) => one.unsubscribe('contended', 'contended')),
        );
        expect(ended.filter(Boolean)).toHaveLength(1);
      }
    });

    it('both sides agree after channels subscribed and went', async () => {
      await suite.own(async ({ hub, other, channels, add }) => {
        const ids = await add(...numbers(40).map((i) => `id ${i}`));
        await Promise.all(
          ids.map(async (id, i) => {
            await (i % 2 === 0 ? hub : other).subscribe('topic', id);
            if (i % 2 === 1) await channels.removeChannels([id]);
          }),
        );
        const left = ids.filter((_, i) => i % 2 === 0);
        expect((await hub.getChannelIdsForTopic('topic')).toSorted()).toEqual(left.toSorted());
        expect([...(await other.getTopicsForChannels(ids)).keys()].toSorted()).toEqual(left.toSorted());
        expect(await hub.countForTopic('topic')).toBe(left.length);
      });
    });
  });
}
