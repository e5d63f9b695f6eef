import { PostgresAdapter, type StoredChange } from '@nestbox/kv';
import { Postgres } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { backupName, backupTime } from '../src/postgres/backup-name.js';

let database: TestDatabase;
let db: Postgres;
const opened: PostgresAdapter[] = [];

beforeAll(async () => {
  database = await testDatabase();
  db = new Postgres(database.url);
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((adapter) => adapter.close()));
});

afterAll(async () => {
  await db.close();
  await database.drop();
});

function open(tableName: string, schema?: string): PostgresAdapter {
  const adapter = new PostgresAdapter({ client: db, tableName, schema });
  opened.push(adapter);
  return adapter;
}

describe('the backup of a PostgreSQL store', () => {
  it('is a table beside it, with the rows, the time and the source', async () => {
    const adapter = open('kv_store');
    await adapter.set('a', { x: 1 });
    await adapter.set('b', null, { expiry: { ttl: '1h' } });
    await adapter.set('expired', 1, { expiry: { ttl: 1 } });
    await adapter.set('a', { x: 2 });
    const name = await adapter.backup();
    expect(name).toMatch(/^kv_store_backup_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/);
    await adapter.set('a', 'later');
    const rows = await db.query(
      `select key, value::text as value, version::text as version, expires_at is null as permanent,
              backup_source_table as source, clock_timestamp() - backup_created_at < '1 minute' as recent
         from "${name}" order by key`,
    );
    const common = { source: 'kv_store', recent: true };
    expect(rows).toEqual([
      { key: 'a', value: '{"x": 2}', version: '2', permanent: true, ...common },
      { key: 'b', value: 'null', version: '1', permanent: false, ...common },
    ]);
    expect(await adapter.listBackups()).toEqual([name]);
  });

  it('has a name of its own, also within a second and when several are taken at once', async () => {
    const adapter = open('often');
    await adapter.set('a', 1);
    const names = await Promise.all(Array.from({ length: 5 }, () => adapter.backup()));
    expect(new Set(names).size).toBe(5);
    expect(new Set(await adapter.listBackups())).toEqual(new Set(names));
    for (const name of names) expect(backupTime('often', name)).toBeInstanceOf(Date);
  });

  it('is refused when its name would be cut', async () => {
    const longest = open('x'.repeat(35));
    expect(Buffer.byteLength(await longest.backup())).toBe(63);
    const longer = open('x'.repeat(36));
    await longer.set('a', 1);
    await expect(longer.backup()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('64 bytes') as string,
    });
    expect(await longer.listBackups()).toEqual([]);
  });

  it('brings all entries back in new versions, which watchers and others see', async () => {
    const adapter = open('restored', 'Other "Schema"');
    await adapter.setMany([
      { key: 'same', value: 1 },
      { key: 'changed', value: 1 },
      { key: 'deleted', value: 1, expiry: { ttl: '1h' } },
    ]);
    await adapter.set('kept', 1, { recordHistory: true });
    const { createdAt, expiresAt } = (await adapter.getEntry('deleted'))!;
    const name = await adapter.backup();
    await adapter.set('changed', 2);
    await adapter.delete('deleted');
    await adapter.set('added', 1);
    const feed = await adapter.openFeed({ prefix: '' });
    expect(await adapter.restore(name)).toBe(4);
    expect(await adapter.all()).toEqual({ same: 1, changed: 1, deleted: 1, kept: 1 });
    expect(await adapter.getEntry('deleted')).toMatchObject({ version: 3n, createdAt, expiresAt });
    // Who still holds an old version cannot write over it.
    for (const key of ['same', 'changed', 'kept']) {
      await expect(adapter.set(key, 'stale', { ifVersion: 1n })).rejects.toMatchObject({
        code: 'VERSION_CONFLICT',
      });
    }
    expect((await adapter.history('kept', 10)).map(({ version }) => version)).toEqual([2n, 1n]);
    const changes: StoredChange[] = [];
    while (changes.length < 5) changes.push(...(await feed.read()));
    expect(changes.map(({ type, key, version }) => `${type} ${key} ${version}`).sort()).toEqual([
      'delete added 2',
      'set changed 3',
      'set deleted 3',
      'set kept 2',
      'set same 2',
    ]);
    expect(await adapter.set('added', 2)).toEqual({ version: 3n });
    expect(await adapter.listBackups()).toEqual([name]);
  });

  it('is restored as a whole or not at all', async () => {
    const adapter = open('whole');
    await adapter.set('a', 'backed up');
    const name = await adapter.backup();
    await adapter.set('a', 'now');
    await adapter.set('b', 'now');
    await db.query(`alter table whole add check (value <> '"backed up"') not valid`);
    await expect(adapter.restore(name)).rejects.toMatchObject({
      code: 'KV_OPERATION_FAILED',
      message: expect.stringContaining(`Failed to restore "${name}": `) as string,
    });
    expect(await adapter.all()).toEqual({ a: 'now', b: 'now' });
    const rollback = new Error('rolled back');
    await db.query('alter table whole drop constraint whole_value_check');
    const inTransaction = db.transaction(async () => {
      await adapter.restore(name);
      expect(await adapter.all()).toEqual({ a: 'backed up' });
      throw rollback;
    });
    await expect(inTransaction).rejects.toBe(rollback);
    expect(await adapter.all()).toEqual({ a: 'now', b: 'now' });
  });

  it('must be one of those there are', async () => {
    const adapter = open('known');
    await adapter.set('a', 1);
    await expect(adapter.restore('known_backup_2020-01-01T00-00-00Z')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('It has none.') as string,
    });
    const name = await adapter.backup();
    for (const other of ['known', 'pg_class', `${name}"; drop table known; --`, 'known_backup_x']) {
      await expect(adapter.restore(other)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringContaining(`It has: "${name}".`) as string,
      });
    }
    expect(await adapter.all()).toEqual({ a: 1 });
  });
});

describe('the cleaning up of backups', () => {
  it('drops what is older, of exactly this table', async () => {
    const adapters = ['a', 'a_b', 'a_backup', 'aXb'].map((table) => open(table));
    const [adapter] = adapters as [PostgresAdapter];
    for (const each of adapters) await each.set('k', 1);
    const old = new Date(Date.now() - 40 * 24 * 60 * 60 * 1000);
    const recent = new Date(Date.now() - 20 * 24 * 60 * 60 * 1000);
    const kept: string[] = [];
    for (const table of ['a', 'a_b', 'a_backup', 'aXb']) {
      for (const at of [old, recent]) {
        const name = backupName(table, at, false);
        await db.query(
          `create table "${name}" as select *, $1::timestamptz as backup_created_at, '${table}'::text as backup_source_table from "${table}"`,
          [at.toISOString()],
        );
        if (table !== 'a' || at === recent) kept.push(name);
      }
    }
    const ancient = '2001-01-01T00-00-00Z';
    await db.query(`
      create table "a_backup_notes" as select *, now() as backup_created_at, 'a' as backup_source_table from a;
      create table "a_backup_${ancient}" as select * from a;
      create table "a_backup_${ancient}_b" as select *, now() as backup_created_at, 'a' as backup_source_table from a;
      create table "a_backup_2002-01-01T00-00-00Z" as select *, now() as backup_created_at, 'other' as backup_source_table from a;
      create table "a_backup_2003-99-01T00-00-00Z" as select *, now() as backup_created_at, 'a' as backup_source_table from a`);
    kept.push(
      'a_backup_notes',
      `a_backup_${ancient}`,
      `a_backup_${ancient}_b`,
      'a_backup_2002-01-01T00-00-00Z',
      'a_backup_2003-99-01T00-00-00Z',
    );
    const fresh = await adapter.backup();
    expect(await adapter.listBackups()).toEqual([
      fresh,
      backupName('a', recent, false),
      backupName('a', old, false),
    ]);
    expect(await adapter.cleanupOldBackups()).toEqual([backupName('a', old, false)]);
    const tables = await db.query(
      `select tablename::text as name from pg_tables where tablename ~ '_backup_[0-9n]'`,
    );
    const names = tables.map(({ name }) => String(name));
    expect(names).toEqual(expect.arrayContaining([...kept, fresh]));
    expect(names).not.toContain(backupName('a', old, false));
    expect(await adapter.cleanupOldBackups(10)).toEqual([backupName('a', recent, false)]);
    expect(await adapter.cleanupOldBackups(10)).toEqual([]);
    expect(await adapter.listBackups()).toEqual([fresh]);
  });

  it('goes by the time in the rows as well as by that in the name', async () => {
    const adapter = open('dated');
    await adapter.set('a', 1);
    const name = await adapter.backup();
    expect(await adapter.cleanupOldBackups(1)).toEqual([]);
    await db.query(`update "${name}" set backup_created_at = now() - interval '31 days'`);
    expect(await adapter.cleanupOldBackups()).toEqual([name]);
    // A backup of an empty store has no rows to tell.
    const empty = open('empty');
    const taken = await empty.backup();
    const renamed = backupName('empty', new Date('2020-05-06T07:08:09Z'), false);
    await db.query(`alter table "${taken}" rename to "${renamed}"`);
    expect(await empty.cleanupOldBackups()).toEqual([renamed]);
  });

  it.each([-1, NaN, '30' as never])('refuses %p days', async (days) => {
    await expect(open('refused').cleanupOldBackups(days)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      path: 'days',
    });
  });
});
