/// <reference types="jest" />
import { numbers } from '../kv/subject.js';
import type { ChannelSuite } from './subject.js';

export function concurrency(suite: ChannelSuite): void {
  describe('at once', () => {
    it('channels can be added, changed and removed from several stores', async () => {
      await suite.own(async ({ store, other }) => {
        const ids = numbers(200).map((i) => `id ${i}`);
        await Promise.all(
          ids.map(async (channelId, i) => {
            const [one, two] = i % 2 === 0 ? [store, other] : [other, store];
            await one.addChannel({ channelId, channelName: 'chat' });
            await two.setUserSession(channelId, { userId: `user ${i % 10}` });
            if (i % 4 === 0) await one.removeChannels([channelId]);
          }),
        );
        expect(await store.count()).toBe(150);
        const users = await Promise.all(numbers(10).map((i) => store.findByUser(`user ${i}`)));
        expect(users.flat().toSorted()).toEqual(ids.filter((_, i) => i % 4 !== 0).toSorted());
      });
    });

    it('the same channel can be added and removed, and is there as a whole or not at all', async () => {
      await suite.own(async ({ store, other }) => {
        await Promise.all(
          numbers(100).map((i) => {
            const one = i % 2 === 0 ? store : other;
            return i % 3 === 0
              ? one.removeChannels(['same', 'other'])
              : one.addChannel({ channelId: 'same', channelName: 'chat', openingData: { i } });
          }),
        );
        if (!suite.capabilities.atomic) await store.touch(['same']);
        const found = await store.getChannels(['same']);
        if (suite.capabilities.atomic || found.size === 1) {
          expect(await other.count()).toBe(found.size);
          expect((await other.list()).channels).toHaveLength(found.size);
        }
        await store.removeChannels(['same']);
        expect(await other.count()).toBe(0);
      });
    });

    it('lists of ids in different orders do not block each other', async () => {
      await suite.own(async ({ store, other }) => {
        const ids = numbers(50).map((i) => `id ${i}`);
        await Promise.all(ids.map((channelId) => store.addChannel({ channelId, channelName: 'chat' })));
        await Promise.all(
          numbers(40).map((i) => {
            const order = i % 2 === 0 ? ids : ids.toReversed();
            return i === 39 ? store.removeChannels(order) : (i % 3 === 0 ? store : other).touch(order);
          }),
        );
        expect(await other.count()).toBe(0);
      });
    });
  });
}
