import { startRedisCluster, type TestRedisCluster } from '@nestbox/testing';
import { run } from './support/command.js';

let cluster: TestRedisCluster;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  cluster = await startRedisCluster();
  env = { REDIS_URL: cluster.nodes.map(({ host, port }) => `redis://${host}:${port}`).join(',') };
}, 60_000);

afterAll(() => cluster?.[Symbol.asyncDispose]());

it('takes a cluster by some of its nodes', async () => {
  const place = ['--store', 'redis', '--key-prefix', 'shop'];
  const keys = Array.from({ length: 20 }, (_, i) => `k${String(i).padStart(2, '0')}`);
  for (const key of keys)
    expect(await run(['kv', 'set', key, '1', ...place], { env })).toMatchObject({ code: 0 });
  const { entries } = (await run(['kv', 'list', '--json', ...place], { env })).json<{
    entries: { key: string }[];
  }>();
  expect(entries.map(({ key }) => key)).toEqual(keys);
  expect(await run(['channels', 'list', '--store', 'redis'], { env })).toMatchObject({ code: 0 });
  const { findings } = (await run(['doctor', '--json'], { env })).json<{ findings: { check: string }[] }>();
  // Each master is looked at.
  expect(findings.filter(({ check }) => check === 'redis.version')).toHaveLength(3);
});

it('says that a cluster cannot be reached', async () => {
  const url = 'redis://ada:hunter2@127.0.0.1:1,redis://127.0.0.1:2';
  const ran = await run(['kv', 'list', '--store', 'redis', '--redis-url', url]);
  expect(ran).toMatchObject({ code: 1, out: '' });
  expect(ran.error).toMatch(/^nestbox: cannot connect to the Redis cluster: [^\n]*$/);
  expect(ran.error).not.toContain('hunter2');
});
