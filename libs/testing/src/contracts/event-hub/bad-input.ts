/// <reference types="jest" />
import { InvalidArgumentError } from '@nestbox/core';
import type { EventHubStore } from '@nestbox/event-hub';
import { failureOf } from '../kv/subject.js';
import { BAD_NAMES } from '../channels/names.js';
import type { EventHubSuite } from './subject.js';

/** Calls that take a name, and the path of it. */
const NAMED: [string, (hub: EventHubStore, name: never) => Promise<unknown>][] = [
  ['topic', (hub, name) => hub.getChannelIdsForTopic(name)],
  ['topic', (hub, name) => hub.countForTopic(name)],
  ['topic', (hub, name) => hub.subscribe(name, 'bad')],
  ['channelId', (hub, name) => hub.subscribe('bad', name)],
  ['topic', (hub, name) => hub.unsubscribe(name, 'bad')],
  ['channelId', (hub, name) => hub.unsubscribe('bad', name)],
  ['channelId', (hub, name) => hub.unsubscribeAll(name)],
  ['channelId', (hub, name) => hub.getTopicsForChannel(name)],
  ['channelIds[1]', (hub, name) => hub.getTopicsForChannels(['good', name])],
];

async function expectRefused(call: Promise<unknown>, path: string): Promise<void> {
  const error = await failureOf(call);
  expect(error).toBeInstanceOf(InvalidArgumentError);
  expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', path });
}

export function badInput(suite: EventHubSuite): void {
  describe('bad input is refused with its path:', () => {
    it.each(BAD_NAMES)('for a name, %s', async (_, name) => {
      const { hub } = await suite.shared();
      for (const [path, call] of NAMED) await expectRefused(call(hub, name as never), path);
      if (name !== undefined && name !== '') {
        await expectRefused(hub.listTopics({ prefix: name as never }), 'prefix');
      }
      expect(await hub.countForTopic('bad')).toBe(0);
    });

    it('for lists and pages, what makes no sense', async () => {
      const { hub } = await suite.shared();
      for (const ids of ['id', null, undefined, new Set(['id'])]) {
        await expectRefused(hub.getTopicsForChannels(ids as never), 'channelIds');
      }
      for (const limit of [0, -1, 1001, 1.5, '5', Number.NaN]) {
        await expectRefused(hub.listTopics({ limit: limit as never }), 'limit');
      }
      for (const cursor of ['', 'nonsense!', 'é', 5, null]) {
        await expectRefused(hub.listTopics({ cursor: cursor as never }), 'cursor');
      }
    });
  });
}
