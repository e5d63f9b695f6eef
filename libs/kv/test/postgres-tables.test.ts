import { KeyValueStore, KvOperationError, PostgresAdapter } from '@nestbox/kv';
import { Postgres, quoteIdentifier } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';

let database: TestDatabase;
let db: Postgres;
let tables = 0;
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

function nextTable(): string {
  return `store_${++tables}`;
}

function open(options: Partial<ConstructorParameters<typeof PostgresAdapter>[0]> = {}): PostgresAdapter {
  const adapter = new PostgresAdapter({ client: db, tableName: nextTable(), ...options });
  opened.push(adapter);
  return adapter;
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('It should have failed, but did not.');
}

describe('the tables of a PostgreSQL store', () => {
  it('hold objects as JSONB objects, and null as JSON null', async () => {
    const tableName = nextTable();
    const adapter = open({ tableName });
    const values = { object: { a: 1 }, array: [1], text: '{"a":1}', number: 1.5, truth: true, nothing: null };
    await adapter.setMany(Object.entries(values).map(([key, value]) => ({ key, value })));
    await adapter.set('one', { a: 1 });
    await adapter.commit([{ type: 'set', key: 'committed', value: { a: 1 } }]);
    const rows = await db.query(`select key, jsonb_typeof(value) as type from ${tableName}`);
    expect(Object.fromEntries(rows.map((row) => [row['key'], row['type']]))).toEqual({
      object: 'object',
      array: 'array',
      text: 'string',
      number: 'number',
      truth: 'boolean',
      nothing: 'null',
      one: 'object',
      committed: 'object',
    });
    expect(await adapter.all()).toEqual({ ...values, one: { a: 1 }, committed: { a: 1 } });
  });

  it('have the columns and indexes that were promised', async () => {
    const tableName = nextTable();
    await open({ tableName, indexValues: true }).init();
    const columns = await db.query(
      `select column_name as name, data_type as type, is_nullable as nullable, collation_name as collation
         from information_schema.columns where table_name = $1 order by ordinal_position`,
      [tableName],
    );
    expect(columns.map(({ name, type, nullable }) => [name, type, nullable])).toEqual([
      ['key', 'text', 'NO'],
      ['value', 'jsonb', 'NO'],
      ['version', 'bigint', 'NO'],
      ['created_at', 'timestamp with time zone', 'NO'],
      ['updated_at', 'timestamp with time zone', 'NO'],
      ['expires_at', 'timestamp with time zone', 'YES'],
    ]);
    expect(columns[0]!['collation']).toBe('C');
    const indexes = await db.query('select indexdef from pg_indexes where tablename = $1', [tableName]);
    const definitions = indexes.map(({ indexdef }) => String(indexdef));
    expect(definitions.some((text) => /UNIQUE.*\(key\)/.test(text))).toBe(true);
    expect(definitions.some((text) => text.includes('(updated_at)'))).toBe(true);
    expect(definitions.some((text) => /\(expires_at\).*WHERE \(expires_at IS NOT NULL\)/.test(text))).toBe(
      true,
    );
    expect(definitions.some((text) => text.includes('gin (value jsonb_path_ops)'))).toBe(true);
  });

  it.each([
    ['public', 'select'],
    ['table', 'User Table'],
    ['Schöma "1"', 'it\'s "quoted"'],
    ['🏠', '🗝️ %_\\'],
    ['dotted.schema', 'dotted.table'],
    ['public', 'x'.repeat(50)],
  ])('may be called %p.%p', async (schema, tableName) => {
    const adapter = open({ schema, tableName });
    const again = open({ schema, tableName });
    await Promise.all([adapter.init(), again.init()]);
    await adapter.set('a', 1);
    await adapter.setMany([
      { key: 'b', value: 2 },
      { key: 'c', value: 3, expiry: { ttl: '1h' } },
    ]);
    const feed = await again.openFeed({ prefix: '' });
    await adapter.increment('a', 1n);
    await adapter.commit([{ type: 'set', key: 'd', value: 4 }]);
    await adapter.delete('b');
    expect(await again.all()).toEqual({ a: 2, c: 3, d: 4 });
    expect((await feed.read()).map(({ key }) => key)[0]).toBe('a');
    expect(await adapter.stats('')).toMatchObject({ count: 3 });
    const [row] = await db.query(
      `select count(*)::int as count from ${quoteIdentifier(schema)}.${quoteIdentifier(tableName)}`,
    );
    expect(row!['count']).toBe(3);
  });

  it.each([
    ['tableName', 'x'.repeat(51), /51 bytes.*at most 50/],
    ['tableName', '🗝️'.repeat(10), /70 bytes.*at most 50/],
    ['tableName', '', /empty/],
    ['tableName', 'a\0b', /NUL/],
    ['tableName', 'a$function$b', /\$function\$/],
    ['schema', 'x'.repeat(64), /64 bytes/],
  ])('refuse %s %j at once', (option, name, message) => {
    expect(() => new PostgresAdapter({ client: db, [option]: name })).toThrow(message);
  });

  it('are upgraded or checked, as told, also by many at once', async () => {
    const tableName = nextTable();
    const required = await failureOf(open({ tableName, migrate: false }).init());
    expect(required).toBeInstanceOf(KvOperationError);
    expect(required.cause).toMatchObject({ code: 'MIGRATION_REQUIRED' });
    expect(required.message).toContain('nestbox migrate run');
    await Promise.all(Array.from({ length: 10 }, () => open({ tableName, indexValues: true }).init()));
    const checked = open({ tableName, migrate: false });
    await checked.set('a', 1);
    expect(await checked.get('a')).toBe(1);
  });

  it('are made anew after their schema was dropped', async () => {
    const schema = `schema_${++tables}`;
    await open({ schema }).set('a', 1);
    const before = opened.at(-1)!;
    await before.close();
    await db.query(`drop schema ${schema} cascade`);
    const tableName = `store_${tables}`;
    const many = Array.from({ length: 4 }, () => open({ schema, tableName }));
    await Promise.all(many.map((adapter) => adapter.set('a', 2)));
    expect(await many[0]!.all()).toEqual({ a: 2 });
  });

  it('say what is missing when only some were dropped', async () => {
    const tableName = nextTable();
    await open({ tableName }).init();
    await db.query(`drop table ${tableName}`);
    const error = await failureOf(open({ tableName }).init());
    expect(error.message).toContain(`relation "public.${tableName}" does not exist`);
  });

  it('give the reason when the table is dropped while the store is in use', async () => {
    const tableName = nextTable();
    const adapter = open({ tableName });
    const store = new KeyValueStore({ adapter });
    await store.set('test', 1);
    await adapter.setMany([{ key: 'a', value: 1 }]);
    await db.query(`drop table ${tableName}`);
    const reason = `relation "public.${tableName}" does not exist`;
    const error = await failureOf(store.set('test', { data: 'value' }));
    expect(error).toBeInstanceOf(KvOperationError);
    expect(error.message).toBe(`Failed to set key "test": ${reason}`);
    expect(error.cause).toMatchObject({ code: '42P01', message: reason });
    const all = await Promise.allSettled([
      adapter.set('a', 1),
      adapter.set('b', 1),
      adapter.get('test'),
      adapter.getEntry('test'),
      adapter.delete('test'),
      adapter.increment('test', 1n),
      adapter.set('test', 1, { ifVersion: 1n }),
      adapter.setMany([{ key: 'test', value: 1 }]),
      adapter.deleteMany(['test']),
      adapter.commit([{ type: 'delete', key: 'test' }]),
      adapter.list({ limit: 1 }),
      adapter.all(),
      adapter.clear(''),
      adapter.stats(''),
      adapter.backup(),
    ]);
    for (const result of all) {
      expect(result.status === 'rejected' && (result.reason as Error).message).toMatch(
        new RegExp(`^Failed to .+: ${reason}$`),
      );
    }
  });
});
