import { eventually, spawnFixture } from '@nestbox/testing';

const ECHO = new URL('./fixtures/echo.mjs', import.meta.url);

describe('spawnFixture', () => {
  it('gives each message out once, in order, by text, type or test', async () => {
    await using fixture = await spawnFixture(ECHO);
    await fixture.waitFor('ready');
    fixture.send(1);
    fixture.send({ two: 2 });
    fixture.send(3);
    expect(await fixture.waitFor<{ of: unknown }>(({ of }) => of === 3)).toEqual({ type: 'echo', of: 3 });
    expect(await fixture.waitFor('echo')).toEqual({ type: 'echo', of: 1 });
    expect(await fixture.waitFor('echo')).toEqual({ type: 'echo', of: { two: 2 } });
    await expect(fixture.waitFor('echo', 50)).rejects.toThrow(/did not send 'echo' within 50 ms/);
  });

  it('says how it ended, and ends the wait for a message that cannot come any more', async () => {
    await using fixture = await spawnFixture(ECHO);
    await fixture.waitFor('ready');
    const [end] = await Promise.all([
      fixture.kill('SIGTERM'),
      expect(fixture.waitFor('never')).rejects.toThrow(/ended \(3\).*"bye".*\s+warming up/),
    ]);
    expect(end).toEqual({ code: 3, signal: null });
    expect(fixture.messages).toEqual(['ready', 'bye']);
  });

  it('freezes and kills', async () => {
    await using fixture = await spawnFixture(ECHO);
    await fixture.waitFor('ready');
    fixture.freeze();
    fixture.send('late');
    await expect(fixture.waitFor('echo', 100)).rejects.toThrow(/did not send/);
    fixture.unfreeze();
    expect(await fixture.waitFor('echo')).toEqual({ type: 'echo', of: 'late' });
    fixture.freeze();
    expect(await fixture.kill()).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('fails with the reason when the program is missing', async () => {
    const fixture = await spawnFixture('/nowhere.mjs');
    await expect(fixture.waitFor('ready')).rejects.toThrow(/Cannot find module/);
  });
});

// Containers are removed by Testcontainers' own reaper.
const describeLocally = process.env['TEST_SERVERS'] === 'containers' ? describe.skip : describe;

describeLocally('servers', () => {
  it.each([
    ['killed', 'wait'],
    ['done', 'end'],
  ])('end with the process that started them, when it is %s', async (_, mode) => {
    const owner = await spawnFixture(new URL('./fixtures/server-owner.mjs', import.meta.url), {
      args: [mode],
    });
    const { pids } = await owner.waitFor<{ pids: number[] }>('started', 30_000);
    if (mode === 'wait') await owner.kill();
    expect(await owner.exited).toEqual(
      mode === 'wait' ? { code: null, signal: 'SIGKILL' } : { code: 0, signal: null },
    );
    await eventually(() => pids.every((pid) => !isAlive(pid)));
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
