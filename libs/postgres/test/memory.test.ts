import { spawnFixture, testDatabase } from '@nestbox/testing';

it('keeps nothing of the statements and transactions that are over', async () => {
  const database = await testDatabase();
  const fixture = await spawnFixture(new URL('./fixtures/memory.mjs', import.meta.url), {
    args: [database.url],
    execArgv: ['--expose-gc'],
  });
  await fixture.exited;
  const heaps = (fixture.messages as { heap: number }[]).map(({ heap }) => heap);
  expect(heaps).toHaveLength(4);
  // 10,000 calls in two rounds; what leaks with a call is some hundred bytes at the least.
  expect(heaps[3]! - heaps[1]!).toBeLessThan(1_000_000);
  await database.drop();
});
