import { spawnFixture, testDatabase, testRedis, type Fixture } from '@nestbox/testing';

const fixture = new URL('./fixtures/get-or-set.mjs', import.meta.url);

interface Got {
  value: { computedBy: number };
}

describe.each(['postgres', 'redis'] as const)('getOrSet with lock on %s', (backend) => {
  let url: string;
  let prefix: string;
  let drop: () => Promise<void> = () => Promise.resolve();

  beforeAll(async () => {
    if (backend === 'postgres') {
      const database = await testDatabase();
      ({ url } = database);
      drop = () => database.drop();
      prefix = '';
    } else {
      ({ url, prefix } = await testRedis());
    }
  });
  afterAll(() => drop());

  const start = async (name: string, mode = 'compute'): Promise<Fixture> => {
    const process = await spawnFixture(fixture, { args: [backend, url, prefix + name, mode] });
    await process.waitFor('ready');
    return process;
  };
  const computations = (processes: Fixture[]): unknown[] =>
    processes
      .flatMap(({ messages }) => messages)
      .filter((message) => (message as { type: string }).type === 'computing');

  it('computes once in all processes', async () => {
    const processes = await Promise.all([1, 2, 3].map(() => start('once')));
    for (const process of processes) process.send('go');
    const got = await Promise.all(processes.map((process) => process.waitFor<Got>('got')));
    expect(new Set(got.map(({ value }) => value.computedBy)).size).toBe(1);
    expect(computations(processes)).toHaveLength(1);
    await Promise.all(processes.map((process) => process.kill()));
  });

  it('goes on in another process when the one that computes is killed', async () => {
    const hanging = await start('crash', 'hang');
    hanging.send('go');
    await hanging.waitFor('computing');
    const waiting = await start('crash');
    waiting.send('go');
    await hanging.kill();
    const { value } = await waiting.waitFor<Got>('got');
    expect(value.computedBy).toBe(waiting.pid);
    await waiting.kill();
  });
});
