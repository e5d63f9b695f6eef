import { jest } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KeyValueStore, PostgresAdapter, RedisAdapter } from '@nestbox/kv';
import { testDatabase, testRedis, type TestDatabase, type TestRedisSpace } from '@nestbox/testing';
import fc from 'fast-check';
import { run } from './support/command.js';

// Many commands, or processes of their own, which take a while on a busy machine.
jest.setTimeout(90_000);

let database: TestDatabase;
let redis: TestRedisSpace;
let folder: string;
let stores: { postgres: KeyValueStore; redis: KeyValueStore };
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  database = await testDatabase();
  redis = await testRedis();
  folder = await mkdtemp(join(tmpdir(), 'nestbox-cli-'));
  env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
  stores = {
    postgres: new KeyValueStore({ adapter: new PostgresAdapter({ connectionString: database.url }) }),
    redis: new KeyValueStore({ adapter: new RedisAdapter(redis.url, redis.prefix) }),
  };
  await stores.postgres.init();
  await stores.redis.init();
});

afterAll(async () => {
  await stores.postgres.close();
  await stores.redis.close();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

const PLACES = { postgres: () => [], redis: () => ['--store', 'redis', '--key-prefix', redis.prefix] };

/** Keys that a shell, a terminal, JSON, SQL or a pattern could stumble over. */
const ODD = [
  'ключ',
  '鍵 🗝️',
  'it\'s "quoted"',
  'two\nlines\r\nand\ttabs',
  '-starts-with-a-dash',
  '--help',
  String.raw`back\slash\n`,
  '%_*?[a]{b}$1',
  '\u001B[31mred',
  '\u202Eright to left',
  '__proto__',
  ' ',
];

const KEY = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(...ODD) },
  {
    weight: 2,
    arbitrary: fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
      .filter((key) => !key.includes('\0')),
  },
);
const VALUE = fc
  .jsonValue({ noUnicodeString: false })
  .filter((value) => !JSON.stringify(value).includes(String.raw`\u0000`));

it.each(['postgres', 'redis'] as const)(
  'what is exported from a store in %s is what is imported, on the other backend, too',
  async (kind) => {
    const other = kind === 'postgres' ? 'redis' : 'postgres';
    await fc.assert(
      fc.asyncProperty(fc.dictionary(KEY, VALUE, { maxKeys: 20 }), async (entries) => {
        await stores[kind].clear();
        await stores[other].clear();
        await stores[kind].setMany(Object.entries(entries).map(([key, value]) => ({ key, value })));
        const before = await stores[kind].getAll();

        const exported = await run(['kv', 'export', ...PLACES[kind]()], { env });
        expect(exported.code).toBe(0);
        const file = 'entries.jsonl';
        expect(
          await run(['kv', 'export', file, '--yes', ...PLACES[kind]()], { env, cwd: folder }),
        ).toMatchObject({ code: 0 });

        await stores[kind].clear();
        const input = `${exported.out}\n`;
        expect(await run(['kv', 'import', ...PLACES[kind]()], { env, input })).toMatchObject({ code: 0 });
        expect(await stores[kind].getAll()).toEqual(before);
        expect(await run(['kv', 'import', file, ...PLACES[other]()], { env, cwd: folder })).toMatchObject({
          code: 0,
        });
        expect(await stores[other].getAll()).toEqual(before);
      }),
      { numRuns: 25 },
    );
  },
);

it('a backup is what is restored, whatever was changed since', async () => {
  const changes = fc.array(fc.tuple(KEY, fc.option(VALUE)), { maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(fc.dictionary(KEY, VALUE, { maxKeys: 10 }), changes, async (entries, later) => {
      const store = stores.postgres;
      await store.clear();
      await store.setMany(Object.entries(entries).map(([key, value]) => ({ key, value })));
      const before = await store.getAll();
      const { out: name } = await run(['kv', 'backup'], { env });
      for (const [key, value] of later) {
        if (value === null) await store.delete(key);
        else await store.set(key, value);
      }
      expect(await run(['kv', 'restore', name, '--yes'], { env })).toMatchObject({ code: 0 });
      expect(await store.getAll()).toEqual(before);
    }),
    { numRuns: 20 },
  );
});

it.each(['postgres', 'redis'] as const)('odd keys are set, read, listed and deleted in %s', async (kind) => {
  await stores[kind].clear();
  const place = PLACES[kind]();
  for (const key of ODD) {
    // What begins with a dash is an option unless -- comes before it, as everywhere.
    const set = await run(['kv', 'set', ...place, '--string', '--', key, `of ${key}`], { env });
    expect({ key, code: set.code }).toEqual({ key, code: 0 });
    const got = await run(['kv', 'get', ...place, '--raw', '--', key], { env });
    expect(got.out).toBe(`of ${key}`);
  }
  const listed = await run(['kv', 'list', ...place], { env });
  // One line for each, and nothing that a terminal would obey.
  expect(listed.out.split('\n')).toHaveLength(ODD.length + 1);
  // oxlint-disable-next-line no-control-regex -- it is these that must not be there
  expect(listed.out).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u202E]/);
  expect((await run(['kv', 'list', '--json', ...place], { env })).json().entries).toHaveLength(ODD.length);
  const deleted = await run(['kv', 'delete', '--yes', ...place, '--', ...ODD], { env });
  expect(deleted.out).toBe(`Deleted ${ODD.length} keys.`);
});
