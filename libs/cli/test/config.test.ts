import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeyValueStore, PostgresAdapter, RedisAdapter } from '@nestbox/kv';
import { testDatabase, testRedis, type TestDatabase, type TestRedisSpace } from '@nestbox/testing';
import { run, type Around, type Ran } from './support/command.js';

let database: TestDatabase;
let redis: TestRedisSpace;
let folder: string;

beforeAll(async () => {
  database = await testDatabase();
  redis = await testRedis();
  const stores = [
    new KeyValueStore({
      adapter: new PostgresAdapter({ connectionString: database.url, tableName: 'app_kv' }),
    }),
    new KeyValueStore({ adapter: new RedisAdapter(redis.url, redis.prefix) }),
  ];
  for (const [i, store] of stores.entries()) {
    await store.set('where', ['postgres', 'redis'][i]);
    await store.close();
  }
});

afterAll(() => database.drop());

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nestbox-cli-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(config: unknown, name = 'nestbox.config.json'): Promise<void> {
  await writeFile(join(folder, name), typeof config === 'string' ? config : JSON.stringify(config));
}

function get(args: readonly string[] = [], around: Around = {}): Promise<Ran> {
  return run(['kv', 'get', 'where', ...args], { cwd: folder, ...around });
}

const NOWHERE = 'postgres://127.0.0.1:1/nowhere';

it('takes the servers and the store from the file', async () => {
  await write({ url: database.url, kv: { table: 'app_kv' } });
  expect(await get()).toMatchObject({ code: 0, out: '"postgres"' });
  await write({ redisUrl: redis.url, kv: { store: 'redis', keyPrefix: redis.prefix } });
  expect(await get()).toMatchObject({ code: 0, out: '"redis"' });
});

it('prefers an option to the environment, and that to the file', async () => {
  const env = { DATABASE_URL: NOWHERE };
  await write({ url: database.url, kv: { table: 'app_kv' } });
  expect(await get([], { env })).toMatchObject({ code: 1, error: expect.stringContaining('127.0.0.1:1') });
  expect(await get(['--url', database.url], { env })).toMatchObject({ code: 0 });
  await write({ url: NOWHERE, kv: { table: 'nope', store: 'redis' } });
  const options = ['--store', 'postgres', '--table', 'app_kv'];
  expect(await get(options, { env: { DATABASE_URL: database.url } })).toMatchObject({ code: 0 });
});

it('takes an empty environment variable for none', async () => {
  await write({ url: database.url, kv: { table: 'app_kv' } });
  expect(await get([], { env: { DATABASE_URL: '' } })).toMatchObject({ code: 0 });
});

it('reads the file that --config names instead', async () => {
  await write({ url: NOWHERE });
  await write({ url: database.url, kv: { table: 'app_kv' } }, 'other.json');
  expect(await get(['--config', 'other.json'])).toMatchObject({ code: 0, out: '"postgres"' });
  expect(await get(['--config', 'nope.json'])).toMatchObject({
    code: 2,
    error: expect.stringMatching(/^nestbox: there is no configuration file nope\.json\n/),
  });
});

it('has a place for every schema, which migrate and the stores both use', async () => {
  const own = await testDatabase();
  try {
    await write({
      url: own.url,
      kv: { schema: 'my kv', table: 'entries' },
      channels: { schema: 'my channels', streams: ['chat'] },
      events: { schema: 'my events', partition: 'tenant' },
      workflows: { schema: 'my workflows' },
    });
    const migrated = await run(['migrate', 'run'], { cwd: folder });
    expect(migrated.code).toBe(0);
    const { out } = await run(['migrate', 'status'], { cwd: folder });
    expect(out.split('\n').map((line) => line.split(':')[0])).toEqual([
      'postgres on nestbox',
      'kv on my kv.entries',
      'channels on my channels',
      'event-hub on my channels',
      'backplane on my channels.chat',
      'event-store on my events',
      'workflows on my workflows',
    ]);
    for (const args of [
      ['kv', 'list'],
      ['channels', 'list'],
      ['topics', 'list'],
      ['events', 'streams'],
      ['projections', 'list'],
      ['workflows', 'list'],
    ]) {
      expect(await run(args, { cwd: folder })).toMatchObject({ code: 0 });
    }
    const { findings } = (await run(['doctor', '--json'], { cwd: folder })).json();
    expect(
      findings.filter(
        ({ check, status }: { check: string; status: string }) =>
          /schema|index/.test(check) && status !== 'ok',
      ),
    ).toEqual([]);
    // An option is for all libs; here it is one that has nothing yet.
    expect(
      await run(['migrate', 'status', '--lib', 'kv', '--schema', 'other'], { cwd: folder }),
    ).toMatchObject({ code: 3 });
  } finally {
    await own.drop();
  }
});

it.each([
  [
    { urll: 'x' },
    'nestbox.config.json has an unknown key "urll"; did you mean url? (known are: url, redisUrl, kv, channels, events, workflows)',
  ],
  [
    { kv: { tabel: 'x' } },
    'has an unknown key "kv.tabel"; did you mean table? (known are: store, schema, table',
  ],
  [{ kv: 'app_kv' }, 'nestbox.config.json: "kv" must be an object'],
  [{ kv: { store: 'mysql' } }, '"kv.store" must be "postgres" or "redis"'],
  [{ kv: { versioning: 'yes' } }, '"kv.versioning" must be true or false'],
  [{ channels: { streams: 'hub' } }, '"channels.streams" must be an array of texts'],
  [{ url: 5 }, '"url" must be a text'],
  [[], 'nestbox.config.json must be an object'],
  ['{"url": "postgres://u:hunter2@h/d"', 'nestbox.config.json is not JSON'],
  [{ url: 'u:hunter2@h/d' }, '"url" in the configuration file is not a PostgreSQL URL'],
  [{ __proto__: null, constructor: 1 }, 'has an unknown key "constructor"'],
])('refuses the file %j', async (config, problem) => {
  await write(config);
  const ran = await get();
  expect(ran).toMatchObject({ code: 2, out: '', error: expect.stringContaining(problem) });
  expect(ran.error).not.toContain('hunter2');
});

it.each([
  [
    '--url',
    'http://u:hunter2@h/d',
    '--url is not a PostgreSQL URL such as postgres://user@host:5432/database',
  ],
  [
    '--redis-url',
    'u:hunter2@h',
    '--redis-url is not a Redis URL such as redis://host:6379, or several of a cluster with commas',
  ],
])('refuses %s %s without showing it', async (option, url, problem) => {
  const ran = await get([option, url]);
  expect(ran).toMatchObject({ code: 2, error: expect.stringContaining(problem) });
  expect(ran.error).not.toContain('hunter2');
});

it.each([
  ['--url', 'postgres://ada:p/hunter2@127.0.0.1:1/shop'],
  ['--url', 'postgres://ada:p?hunter2@127.0.0.1:1/shop'],
  ['--url', 'postgres://ada:1?hunter2@127.0.0.1:1/shop'],
  ['--url', 'postgres://ada:hunter2%@127.0.0.1:1/shop'],
  ['--url', 'postgres://ada:hunter2@127.0.0.1:99999/shop'],
  ['--redis-url', 'redis://:p/hunter2@127.0.0.1:1'],
  ['--redis-url', 'redis://:hunter2%zz@127.0.0.1:1'],
])('tells how to write %s %s, without any part of its password', async (option, url) => {
  const ran = await run(['doctor', option, url], { cwd: folder });
  expect(ran).toMatchObject({
    code: 2,
    out: '',
    error: expect.stringContaining(`${option} cannot be read as a URL; in a user name and a password`),
  });
  expect(ran.error).not.toContain('hunter2');
});

it.each(['postgres://ada:p%2Fq@a:1,b:2/shop', 'postgres://ada:p,@q@[::1]:1/shop', 'postgres:///shop'])(
  'reads %s',
  async (url) => {
    const ran = await run(['migrate', 'sql', '--lib', 'postgres', '--url', url], { cwd: folder });
    expect(ran).toMatchObject({ code: 0, error: '' });
  },
);

it('says what is wrong with a URL of Redis', async () => {
  const ran = await run(['kv', 'stats', '--store', 'redis', '--redis-url', 'redis://localhost/first'], {
    cwd: folder,
  });
  expect(ran).toMatchObject({
    code: 2,
    error: expect.stringContaining('nestbox: the URL of Redis has a database that is not a number\n'),
  });
});

it('says that no server is given', async () => {
  expect(await get()).toMatchObject({
    code: 2,
    error: expect.stringContaining('pass --url or set DATABASE_URL'),
  });
  expect(await get(['--store', 'redis'])).toMatchObject({
    code: 2,
    error: expect.stringContaining('pass --redis-url or set REDIS_URL'),
  });
});
