/// <reference types="jest" />
import { compareUtf8 } from '@nestbox/core';
import { numbers } from '../kv/subject.js';
import { ODD_NAMES } from '../channels/names.js';
import { topicsOf, type EventHubSuite } from './subject.js';

export function topics(suite: EventHubSuite): void {
  const sorted = (names: string[]): string[] =>
    suite.capabilities.ordered ? names : names.toSorted(compareUtf8);

  describe('the list of topics', () => {
    it('has each that somebody is subscribed to once, page by page', async () => {
      await suite.own(async ({ hub, other, add }) => {
        expect(await hub.listTopics()).toEqual({ topics: [] });
        await add('a', 'b');
        const names = [...numbers(30).map((i) => `topic ${i}`), ...ODD_NAMES];
        await Promise.all(names.flatMap((topic) => ['a', 'b'].map((id) => hub.subscribe(topic, id))));
        for (const limit of [1, 7, names.length, 1000]) {
          expect(sorted(await topicsOf(other, limit))).toEqual(names.toSorted(compareUtf8));
        }
        await hub.unsubscribeAll('a');
        await hub.unsubscribe('topic 7', 'b');
        const left = names.filter((topic) => topic !== 'topic 7').toSorted(compareUtf8);
        expect(sorted(await topicsOf(other, 10))).toEqual(left);
        await hub.unsubscribeAll('b');
        expect(await other.listTopics()).toEqual({ topics: [] });
      });
    });

    it('takes every character of a prefix for itself', async () => {
      await suite.own(async ({ hub, other, add }) => {
        await add('a');
        const starts = ['%', '_', '*', '?', '[a-z]', '^', '$', '.', '\\', 'a_b', 'a%b', 'a.b', '🦊', "'"];
        const names = [
          ...starts.flatMap((start) => [start, `${start}1`, `x${start}`]),
          'axb',
          'b',
          'abc',
          'A_B',
        ];
        await Promise.all(names.map((topic) => hub.subscribe(topic, 'a')));
        for (const prefix of [...starts, 'a', 'x', 'none', '']) {
          const expected = names.filter((name) => name.startsWith(prefix)).toSorted(compareUtf8);
          expect([prefix, sorted(await topicsOf(other, 2, prefix))]).toEqual([prefix, expected]);
        }
      });
    });
  });
}
