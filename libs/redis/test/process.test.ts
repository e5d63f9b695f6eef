import { freePort, spawnFixture, testRedis } from '@nestbox/testing';

const FIXTURE = new URL('./fixtures/uses-redis.mjs', import.meta.url);

describe('a process', () => {
  it('ends by itself when Redis was used and closed', async () => {
    const { url } = await testRedis();
    await using fixture = await spawnFixture(FIXTURE, { args: [url, 'works'] });
    await fixture.waitFor('closed');
    expect(await fixture.exited).toEqual({ code: 0, signal: null });
    expect(fixture.stderr).toBe('');
  });

  it('ends by itself when Redis was never reached and closed', async () => {
    await using fixture = await spawnFixture(FIXTURE, {
      args: [`redis://127.0.0.1:${await freePort()}`, 'gone'],
    });
    expect(await fixture.waitFor('failed')).toEqual({ type: 'failed', code: 'REDIS_UNAVAILABLE' });
    await fixture.waitFor('closed');
    expect(await fixture.exited).toEqual({ code: 0, signal: null });
  });
});
