/// <reference types="jest" />
import type { ChannelSuite } from './subject.js';

export function sessions(suite: ChannelSuite): void {
  describe('sessions', () => {
    it('are replaced as a whole, and cleared by null', async () => {
      const { store } = await suite.shared();
      const session = async () => (await store.getChannelAndSession('session')).session;
      await store.addChannel({ channelId: 'session', channelName: 'chat' });
      await store.setUserSession('session', { a: 1, deep: { list: [null, true, 1.5, ''] } });
      expect(await session()).toEqual({ a: 1, deep: { list: [null, true, 1.5, ''] } });
      await store.setUserSession('session', { b: '"\\é🦊' });
      expect(await session()).toEqual({ b: '"\\é🦊' });
      await store.setUserSession('session', {});
      expect(await session()).toEqual({});
      await store.setUserSession('session', null);
      expect(await session()).toBeNull();
      await store.setUserSession('session', null);
      expect(await session()).toBeNull();
    });

    it('find the channels of a user, also by a number', async () => {
      const { store, other } = await suite.shared();
      const ids = ['user 1', 'user 2', 'user 3', 'user 4'];
      for (const channelId of ids) await store.addChannel({ channelId, channelName: 'chat' });
      await store.setUserSession('user 1', { userId: '4711' });
      await store.setUserSession('user 2', { userId: 4711 });
      await store.setUserSession('user 3', { userId: '47110' });
      await store.setUserSession('user 4', { name: '4711' });
      expect((await other.findByUser('4711')).sort()).toEqual(['user 1', 'user 2']);
      expect(await other.findByUser('47110')).toEqual(['user 3']);
      expect(await other.findByUser('471')).toEqual([]);
    });

    it('no longer find a channel whose session changed or which is gone', async () => {
      const { store, other } = await suite.shared();
      const ids = ['left 1', 'left 2', 'left 3', 'left 4'];
      for (const channelId of ids) {
        await store.addChannel({ channelId, channelName: 'chat' });
        await store.setUserSession(channelId, { userId: 'leaving' });
      }
      expect((await other.findByUser('leaving')).sort()).toEqual(ids);
      await store.setUserSession('left 1', { userId: 'elsewhere' });
      await store.setUserSession('left 2', null);
      await store.setUserSession('left 3', { userId: { not: 'an id' } });
      expect(await other.findByUser('leaving')).toEqual(['left 4']);
      expect(await other.findByUser('elsewhere')).toEqual(['left 1']);
      await store.removeChannels(['left 4', 'left 1']);
      expect(await other.findByUser('leaving')).toEqual([]);
      expect(await other.findByUser('elsewhere')).toEqual([]);
    });
  });
}
