import { Coalescer } from '@nestbox/core';

/** CPU time of `count` calls made at once, in ms. */
async function cost(count: number, key: (item: number) => string | undefined): Promise<number> {
  const coalescer = new Coalescer<number, number>({
    name: 'many',
    maxItems: 1,
    maxWaiting: count,
    flush: async (items) => items,
    key,
  });
  const before = process.cpuUsage();
  const results = await Promise.all(Array.from({ length: count }, (_, item) => coalescer.run(item)));
  const { user, system } = process.cpuUsage(before);
  expect(results.every((result, item) => result === item)).toBe(true);
  return (user + system) / 1000;
}

describe('the cost of a call', () => {
  it.each([
    ['one key', () => 'hot'],
    ['a key each', String],
    ['no key', () => undefined],
  ])('does not depend on how many wait: 100,000 calls with %s', async (_, key) => {
    await cost(10_000, key);
    // Eight times as many calls; 64 times the cost if each one looked at all that wait. It may try three times, since
    // the machine has other things to do.
    let ratio = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 3 && ratio >= 32; round++) {
      const few = await cost(12_500, key);
      ratio = (await cost(100_000, key)) / few;
    }
    expect(ratio).toBeLessThan(32);
  });
});
