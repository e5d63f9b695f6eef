/// <reference types="jest" />
import type { ChannelStore } from '@nestbox/channels';
import { failureOf } from '../kv/subject.js';
import type { ChannelSuite } from './subject.js';

/** One call of each method of the port. */
const CALLS: [string, (store: ChannelStore) => Promise<unknown>][] = [
  ['init', (store) => store.init()],
  ['ping', (store) => store.ping()],
  ['addChannel', (store) => store.addChannel({ channelId: 'a', channelName: 'chat' })],
  ['removeChannels', (store) => store.removeChannels(['a'])],
  ['setUserSession', (store) => store.setUserSession('a', {})],
  ['getChannelAndSession', (store) => store.getChannelAndSession('a')],
  ['getChannels', (store) => store.getChannels(['a'])],
  ['touch', (store) => store.touch(['a'])],
  ['list', (store) => store.list()],
  ['count', (store) => store.count()],
  ['removeStale', (store) => store.removeStale('1h')],
  ['findByUser', (store) => store.findByUser('a')],
  ['locate', (store) => store.locate(['a'])],
  ['heartbeat', (store) => store.heartbeat('a', 1000)],
  ['releaseNode', (store) => store.releaseNode('a')],
  ['reap', (store) => store.reap()],
  ['nodes', (store) => store.nodes()],
];

export function lifecycle(suite: ChannelSuite): void {
  describe('opening and closing', () => {
    it('opens by itself, and any number of times', async () => {
      await suite.own(async ({ store }) => {
        await Promise.all([
          store.addChannel({ channelId: 'a', channelName: 'chat' }),
          store.count(),
          store.init(),
          store.init(),
        ]);
        await store.init();
        expect(await store.count()).toBe(1);
        expect(store.backend).toMatch(/\w/);
        const ms = await store.ping();
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThan(10_000);
      });
    });

    it('refuses every call once it is closed', async () => {
      await suite.own(async ({ store }) => {
        await store.init();
        await store.close();
        await store.close();
        for (const [method, call] of CALLS) {
          const error = await failureOf(call(store));
          expect({ method, code: (error as { code?: string }).code }).toEqual({ method, code: 'CLOSED' });
        }
      });
    });

    it('can be closed without having been opened', async () => {
      await suite.own(async ({ store }) => {
        await store.close();
        await expect(store.count()).rejects.toMatchObject({ code: 'CLOSED' });
        await store.close();
      });
    });
  });
}
