import { spawnFixture } from '@nestbox/testing';

describe('a memory store', () => {
  it('takes no more memory the longer it is used', async () => {
    await using process = await spawnFixture(new URL('./fixtures/memory-soak.mjs', import.meta.url), {
      args: ['8'],
      execArgv: ['--expose-gc'],
    });
    expect(await process.exited).toEqual({ code: 0, signal: null });
    const megabytes = process.messages.map((message) => (message as { megabytes: number }).megabytes);
    // The changes and tombstones that are kept have reached their limits by then.
    expect(megabytes.at(-1)! - megabytes[2]!).toBeLessThan(4);
  });
});
