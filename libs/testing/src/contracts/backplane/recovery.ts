/// <reference types="jest" />
import type { HistoryPage, Position } from '@nestbox/channels';
import fc from 'fast-check';
import { eventually } from '../../eventually.js';
import { KEEP, text, type BackplaneContractPart } from './subject.js';

/** What subscribers rely on who were away: nothing is lost and nothing comes twice. */
export const recovery: BackplaneContractPart = (suite) => {
  describe('recovery', () => {
    it('gives all instances the same order while several publish at once', async () => {
      const all = [await suite.instance(), await suite.instance(), await suite.instance()];
      const topic = suite.topic();
      await Promise.all(all.map(async ({ backplane }) => backplane.join(topic)));
      await Promise.all(
        all.map(async ({ backplane }, i) => {
          for (let n = 0; n < 100; n++) await backplane.publish(text(topic, `${i}:${n}`), KEEP);
        }),
      );
      await eventually(() => {
        for (const { messages } of all) expect(messages).toHaveLength(300);
      });
      const page = (await all[0]!.backplane.history(topic))!;
      const offsets = page.messages.map(({ position }) => position!.offset);
      expect(offsets).toEqual([...new Set(offsets)].toSorted((one, other) => one - other));
      for (const { messages, gaps } of all) {
        expect(messages).toEqual(page.messages);
        expect(gaps).toEqual([]);
      }
    });

    it('claims completeness only where it is so, whoever publishes meanwhile', async () => {
      const publishers = [await suite.instance(), await suite.instance()];
      const reader = await suite.instance();
      await fc.assert(
        fc.asyncProperty(
          fc.record({
            size: fc.constantFrom(2, 5, 20, 1000),
            counts: fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 })),
            burst: fc.integer({ min: 1, max: 8 }),
            limits: fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 1, maxLength: 5 }),
          }),
          async ({ size, counts, burst, limits }) => {
            const topic = suite.topic();
            const first = (await reader.backplane.publish(text(topic, 'first'), { ...KEEP, size }))!;
            const offsets = [first.offset];
            let running = publishers.length;
            const writing = publishers.map(async ({ backplane }, i) => {
              for (let n = 0; n < counts[i]!; n += burst) {
                const some = Array.from({ length: burst }, () =>
                  backplane.publish(text(topic, n), { ...KEEP, size }),
                );
                for (const position of await Promise.all(some)) offsets.push(position!.offset);
              }
              running--;
            });

            const pages: { since: Position; page: HistoryPage }[] = [];
            let since = first;
            for (let round = 0, done = false; !done; round++) {
              const isLast = running === 0;
              const limit = limits[round % limits.length]!;
              const page = (await reader.backplane.history(topic, { since, limit }))!;
              pages.push({ since, page });
              since = page.messages.at(-1)?.position ?? since;
              done = isLast && page.messages.length === 0;
            }
            await Promise.all(writing);

            offsets.sort((one, other) => one - other);
            for (const { since: from, page } of pages) {
              expect(page.head.epoch).toBe(first.epoch);
              const got = page.messages.map(({ position }) => position!.offset);
              const next = offsets.filter((offset) => offset > from.offset);
              // What is there is without holes; when it is complete, it also begins right behind `since`.
              const begin = page.complete || got.length === 0 ? 0 : next.indexOf(got[0]!);
              expect(got).toEqual(next.slice(begin, begin + got.length));
              if (size === 1000) expect(page.complete).toBe(true);
            }
            expect(since.offset).toBe(offsets.at(-1));
          },
        ),
        { numRuns: 15 },
      );
    });
  });
};
