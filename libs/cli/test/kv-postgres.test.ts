import { KeyValueStore, PostgresAdapter } from '@nestbox/kv';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, testRedis, type TestDatabase, type TestRedisSpace } from '@nestbox/testing';
import { run } from './support/command.js';

let database: TestDatabase;
let redis: TestRedisSpace;

beforeAll(async () => {
  database = await testDatabase();
  redis = await testRedis();
});

afterAll(() => database.drop());

describe('nestbox kv, what only PostgreSQL has', () => {
  const env = (): NodeJS.ProcessEnv => ({ DATABASE_URL: database.url, REDIS_URL: redis.url });
  let store: KeyValueStore;

  beforeAll(async () => {
    store = new KeyValueStore({ adapter: new PostgresAdapter({ connectionString: database.url }) });
    await store.init();
  });

  afterAll(() => store.close());

  it('backs up and restores', async () => {
    expect(await run(['kv', 'backups'], { env: env() })).toMatchObject({
      code: 0,
      out: '',
      error: 'public.kv_store has no backups.',
    });
    await store.set('a', 1);
    const { code, out: name } = await run(['kv', 'backup'], { env: env() });
    expect(code).toBe(0);
    expect(name).toMatch(/^kv_store_backup_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d/);
    const { backup } = (await run(['kv', 'backup', '--json'], { env: env() })).json<{ backup: string }>();
    expect((await run(['kv', 'backups', '--json'], { env: env() })).json()).toEqual({
      backups: [backup, name],
    });
    expect((await run(['kv', 'backups'], { env: env() })).out).toBe(`${backup}\n${name}`);

    await store.set('a', 2);
    await store.set('b', 3);
    expect(await run(['kv', 'restore', name], { env: env() })).toMatchObject({
      code: 2,
      error: expect.stringContaining('replaces all of public.kv_store, which has 2 entries'),
    });
    const restored = await run(['kv', 'restore', name], { env: env(), answer: true, showsProgress: true });
    expect(restored).toMatchObject({ code: 0, out: 'Restored 1 entry into public.kv_store.' });
    expect(restored.progress).toEqual([`Restoring: ${name}`, '']);
    expect(await store.getAll()).toEqual({ a: 1 });
    expect((await run(['kv', 'restore', name, '--yes', '--json'], { env: env() })).json()).toEqual({
      restored: 1,
    });
    expect(await run(['kv', 'restore', 'nope', '--yes'], { env: env() })).toMatchObject({
      code: 4,
      error: 'nestbox: There is no backup "nope" of public.kv_store; nestbox kv backups lists them.',
    });
  });

  it('finds entries by a part of their value', async () => {
    await store.set('u:1', { role: 'admin' });
    await store.set('u:2', { role: 'guest' });
    const found = await run(['kv', 'list', '--contains', '{"role":"admin"}', '--json'], { env: env() });
    expect(found.json().entries).toMatchObject([{ key: 'u:1' }]);
    expect(await run(['kv', 'list', '--contains', '{', '--json'], { env: env() })).toMatchObject({ code: 2 });
    const refused = await run(['kv', 'list', '--contains', '{}', '--reverse'], { env: env() });
    expect(refused).toMatchObject({ code: 2, error: expect.stringContaining('--contains goes with') });
  });

  it('says so where Redis is meant', async () => {
    for (const args of [['backup'], ['backups'], ['restore', 'x']]) {
      expect(await run(['kv', ...args, '--store', 'redis'], { env: env() })).toMatchObject({
        code: 2,
        error: expect.stringContaining('is for a store in PostgreSQL'),
      });
    }
    expect(await run(['kv', 'list', '--store', 'redis', '--contains', '1'], { env: env() })).toMatchObject({
      code: 1,
      error: expect.stringContaining('query is not supported by Redis'),
    });
    expect(await run(['kv', 'backup', '--namespace', 'x'], { env: env() })).toMatchObject({
      code: 2,
      error: expect.stringContaining('is for a whole table'),
    });
  });

  it('creates nothing, and leaves the care of the store to the application', async () => {
    const postgres = new Postgres(database.url);
    try {
      const count = async (): Promise<unknown> =>
        (await postgres.query('select count(*)::int as n from pg_class'))[0]!['n'];
      const before = await count();
      for (const args of [['list'], ['set', 'x', '1'], ['delete', 'x', '--yes'], ['stats'], ['export']]) {
        const ran = await run(['kv', ...args, '--table', 'not_there'], { env: env() });
        expect(ran).toMatchObject({
          code: 1,
          error:
            'nestbox: There is no schema of kv at public.not_there in this database yet. Create it: nestbox migrate run --lib kv --table not_there',
        });
      }
      expect(await count()).toBe(before);
    } finally {
      await postgres.close();
    }
  });
});
