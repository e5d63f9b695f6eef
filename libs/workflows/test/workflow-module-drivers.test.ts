import { spawnFixture } from '@nestbox/testing';

interface Done {
  result: number;
  failures: { name: string; message: string }[];
}

describe('an application without any driver', () => {
  it('runs workflows in memory, says what to install, and ends by itself', async () => {
    await using process = await spawnFixture(new URL('./fixtures/without-drivers.mjs', import.meta.url));
    const { result, failures } = await process.waitFor<Done>('done', 20_000);
    expect(result).toBe(42);
    expect(failures.map(({ name }) => name)).toEqual(['terminus', 'postgres']);
    expect(failures[0]!.message).toContain('npm install @nestjs/terminus');
    expect(failures[1]!.message).toContain('npm install postgres');
    expect(await process.exited).toEqual({ code: 0, signal: null });
  });
});
