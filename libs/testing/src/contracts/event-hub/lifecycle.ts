/// <reference types="jest" />
import type { EventHubStore } from '@nestbox/event-hub';
import { failureOf } from '../kv/subject.js';
import type { EventHubSuite } from './subject.js';

/** One call of each method of the port. */
const CALLS: [string, (hub: EventHubStore) => Promise<unknown>][] = [
  ['init', (hub) => hub.init()],
  ['ping', (hub) => hub.ping()],
  ['getChannelIdsForTopic', (hub) => hub.getChannelIdsForTopic('a')],
  ['subscribe', (hub) => hub.subscribe('a', 'a')],
  ['unsubscribe', (hub) => hub.unsubscribe('a', 'a')],
  ['unsubscribeAll', (hub) => hub.unsubscribeAll('a')],
  ['getTopicsForChannel', (hub) => hub.getTopicsForChannel('a')],
  ['getTopicsForChannels', (hub) => hub.getTopicsForChannels(['a'])],
  ['listTopics', (hub) => hub.listTopics()],
  ['countForTopic', (hub) => hub.countForTopic('a')],
];

export function lifecycle(suite: EventHubSuite): void {
  describe('opening and closing', () => {
    it('opens by itself, before or after its channels, and any number of times', async () => {
      await suite.own(async ({ hub, add }) => {
        expect(await Promise.all([hub.countForTopic('a'), hub.init(), hub.init()])).toContain(0);
        await hub.init();
        await add('a');
        expect(await hub.subscribe('a', 'a')).toBe(true);
        expect(hub.backend).toMatch(/\w/);
        const ms = await hub.ping();
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThan(10_000);
      });
    });

    it('refuses every call once it is closed', async () => {
      await suite.own(async ({ hub }) => {
        await hub.init();
        await hub.close();
        await hub.close();
        for (const [method, call] of CALLS) {
          const error = await failureOf(call(hub));
          expect({ method, code: (error as { code?: string }).code }).toEqual({ method, code: 'CLOSED' });
        }
      });
    });

    it('can be closed without having been opened', async () => {
      await suite.own(async ({ hub }) => {
        await hub.close();
        await expect(hub.countForTopic('a')).rejects.toMatchObject({ code: 'CLOSED' });
        await hub.close();
      });
    });
  });
}
