import { spawnFixture } from '@nestbox/testing';

describe('the library without any driver', () => {
  it('can be imported and used, and says what to install', async () => {
    await using process = await spawnFixture(new URL('./fixtures/without-drivers.mjs', import.meta.url));
    const { all, failures } = await process.waitFor<{
      all: unknown;
      failures: { name: string; message: string }[];
    }>('done', 20_000);
    expect(all).toEqual({ a: 1, b: { value: 1 } });
    expect(failures.map(({ name }) => name)).toEqual(['postgres', 'ioredis']);
    expect(failures[0]!.message).toContain('npm install postgres');
    expect(failures[1]!.message).toContain('npm install ioredis');
    expect(await process.exited).toEqual({ code: 0, signal: null });
  });
});
