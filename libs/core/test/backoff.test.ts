import fc from 'fast-check';
import { backoffMs } from '@nestbox/core';

describe('backoffMs', () => {
  it('doubles from the first wait to the longest, half of it random', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer({ min: 1, max: 2000 }),
        (baseMs, maxMs, attempt) => {
          const full = Math.min(maxMs, baseMs * 2 ** (attempt - 1));
          const wait = backoffMs(attempt, { baseMs, maxMs });
          expect(wait).toBeGreaterThanOrEqual(full / 2);
          expect(wait).toBeLessThanOrEqual(full);
        },
      ),
    );
  });

  it('takes another factor', () => {
    const wait = backoffMs(3, { baseMs: 10, maxMs: 10_000, factor: 10 });
    expect(wait).toBeGreaterThanOrEqual(500);
    expect(wait).toBeLessThanOrEqual(1000);
  });

  it('treats an attempt below the first as the first', () => {
    for (const attempt of [0, -5])
      expect(backoffMs(attempt, { baseMs: 10, maxMs: 100 })).toBeLessThanOrEqual(10);
  });

  it('spreads clients that failed together', () => {
    const waits = Array.from({ length: 1000 }, () => backoffMs(1, { baseMs: 100, maxMs: 1000 }));
    const quarters = new Set(waits.map((wait) => Math.floor((wait - 50) / 12.5)));
    expect([...quarters].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3]);
  });
});
