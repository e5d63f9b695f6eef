import { InvalidArgumentError } from '@nestbox/core';
import { Postgres } from '@nestbox/postgres';
import { parseFilter, type DocumentFilter, type FindOptions } from '../src/documents/filter.js';
import { DEFAULT_PARTITION } from '../src/event.types.js';
import { findStatement } from '../src/postgres/document-statements.js';
import { PgEventStoreBackend } from '../src/postgres/pg.event-store-backend.js';
import { freshName, keyOf, openPostgres, type OpenPostgres } from './support/document-backends.js';

let opened: OpenPostgres;
let backend: OpenPostgres['backend'];
let postgres: OpenPostgres['postgres'];
let name: string;

beforeAll(async () => {
  opened = await openPostgres();
  ({ backend, postgres } = opened);
});

afterAll(() => opened.close());

beforeEach(() => {
  name = freshName();
});

const ensure = (indexes: string[] = [], indexAll = false, table = name): Promise<void> =>
  backend.documents.ensure({ name: table, indexes, indexAll });

interface Doc {
  status: string;
  n: number;
  customer: { city: string };
}

describe('the tables of collections', () => {
  const indexesOf = async (table: string): Promise<string[]> => {
    const rows = await postgres.query(
      `select indexname as name from pg_indexes where schemaname = 'event_store' and tablename = $1 order by 1`,
      [table],
    );
    return rows.map((row) => String(row['name']));
  };

  it('keep grants, and names of indexes and partitions, when they are exchanged again and again', async () => {
    const role = `reader_${name}_${opened.database.name}`;
    await postgres.query(`create role ${role}`);
    await backend.createPartition('exchanged');
    await ensure(['status', 'customer.city'], true);
    await postgres.query(
      `grant select, update on event_store.${name} to ${role}; grant select on event_store.${name} to public`,
    );
    const partitions = async (): Promise<unknown[]> =>
      postgres.query(
        `select c.oid::regclass::text as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
          where i.inhparent = $1::regclass order by 1`,
        [`event_store.${name}`],
      );
    const [indexes, tables] = [await indexesOf(name), await partitions()];
    expect(indexes).toHaveLength(4);
    for (let round = 0; round < 2; round++) {
      await ensure(['status', 'customer.city'], true, backend.documents.shadowName(name));
      await backend.transaction(() => backend.documents.swap([name]));
      expect(await indexesOf(name)).toEqual(indexes);
      expect(await partitions()).toEqual(tables);
    }
    await ensure(['status', 'customer.city'], true);
    expect(await indexesOf(name)).toEqual(indexes);
    const [grants] = await postgres.query(
      `select has_table_privilege($1, $2, 'select') and has_table_privilege($1, $2, 'update') as granted,
              has_table_privilege($1, $2, 'delete') as others`,
      [role, `event_store.${name}`],
    );
    expect(grants).toEqual({ granted: true, others: false });
    await postgres.query(`drop owned by ${role}; drop role ${role}`);
  });

  it('are not exchanged while a view depends on them', async () => {
    await ensure();
    await ensure([], false, backend.documents.shadowName(name));
    await postgres.query(`create view event_store.view_of_${name} as select _id from event_store.${name}`);
    await expect(backend.transaction(() => backend.documents.swap([name]))).rejects.toMatchObject({
      code: '2BP01',
    });
    await postgres.query(`drop view event_store.view_of_${name}`);
    await backend.transaction(() => backend.documents.swap([name]));
  });

  it('may be made by many at once', async () => {
    await Promise.all(Array.from({ length: 8 }, () => ensure(['status'], true)));
    expect(await indexesOf(name)).toHaveLength(3);
  });

  it('may have any name of 63 bytes, and so may partitions', async () => {
    const partition = `${'🦊'.repeat(100)} ${name}`;
    const names = [
      'x'.repeat(63),
      'ö'.repeat(31),
      '🦊'.repeat(15),
      `quo"te ' ${name}`,
      `${name}_default`,
      'select',
    ];
    const shadows = new Set(names.map((each) => backend.documents.shadowName(each)));
    expect(shadows.size).toBe(names.length);
    await ensure();
    for (const each of names) await ensure(['x.y'], true, each);
    await backend.createPartition(partition);
    for (const each of names) {
      const shadow = backend.documents.shadowName(each);
      expect(Buffer.byteLength(shadow)).toBeLessThanOrEqual(63);
      await ensure(['x.y'], true, shadow);
      await backend.transaction(async () => {
        await backend.documents.write(shadow, [{ ...keyOf('a', partition), data: { each } }]);
        await backend.documents.freeze([each]);
        await backend.documents.swap([each]);
      });
      const found = await backend.documents.getMany(each, [keyOf('a', partition)]);
      expect(found).toMatchObject([{ data: { each } }]);
    }
    expect(await backend.dropPartition(partition)).toBe(true);
    await backend.documents.drop(names);
  });

  it.each([['emt_streams'], [''], ['x'.repeat(64)], ['nul\0']])('are not called %j', async (bad) => {
    await expect(ensure([], false, bad)).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(backend.documents.drop([bad])).rejects.toBeInstanceOf(InvalidArgumentError);
    expect(() => backend.documents.quoted(bad)).toThrow(InvalidArgumentError);
  });

  it('are not made of tables of somebody else', async () => {
    await postgres.query(`create table event_store.${name} (id integer)`);
    await expect(ensure()).rejects.toMatchObject({ code: '42P07' });
    const [row] = await postgres.query(`select count(*)::integer as n from event_store.${name}`);
    expect(row).toEqual({ n: 0 });
  });

  it('of somebody else are left alone by partitions', async () => {
    await postgres.query(
      `create table event_store.${name} (id integer, tenant text) partition by list (tenant);
       create table event_store.${name}_x partition of event_store.${name} for values in ('tenant x')`,
    );
    expect(await backend.createPartition('tenant x')).toBe(true);
    expect(await backend.dropPartition('tenant x')).toBe(true);
    await postgres.query(`insert into event_store.${name} values (1, 'tenant x')`);
  });

  it('are read alike through a client that was passed in', async () => {
    await ensure(['n']);
    const shared = new Postgres({ client: postgres.client });
    const { documents } = new PgEventStoreBackend(shared);
    await shared.transaction(async () => {
      await documents.lock(name, [keyOf('a')]);
      await documents.write(name, [{ ...keyOf('a'), data: { n: 1 } }]);
      expect(await documents.lock(name, [keyOf('a')])).toEqual([{ id: 'a', data: { n: 1 }, version: 1n }]);
    });
    expect(await documents.find(name, DEFAULT_PARTITION, parseFilter(undefined))).toEqual([
      { id: 'a', data: { n: 1 }, version: 1n },
    ]);
    expect(await documents.count(name, DEFAULT_PARTITION, parseFilter(undefined))).toBe(1);
    await shared.close();
  });
});

describe('the indexes of a collection', () => {
  const planOf = async (filter: DocumentFilter<Doc>, options?: FindOptions<Doc>): Promise<string> => {
    const query = { ...parseFilter(filter, options), limit: options?.limit };
    const { text, params } = findStatement(backend.documents.quoted(name), DEFAULT_PARTITION, query);
    const rows = await postgres.query(`explain ${text}`, params);
    return rows.map((row) => String(Object.values(row)[0])).join('\n');
  };
  const fill = async (): Promise<void> => {
    await postgres.query(
      `insert into event_store.${name} (partition, _id, data)
       select 'emt:default', i::text, jsonb_build_object(
                'status', 's' || i % 500, 'n', i, 'tags', jsonb_build_array('t' || i % 700),
                'customer', jsonb_build_object('city', 'c' || i % 400))
         from generate_series(1, 20000) as i`,
    );
    // What is pending in an index over everything makes it look expensive.
    await postgres.query(`vacuum analyze event_store.${name}`);
  };

  it('of single paths serve equality, ranges, order and pages', async () => {
    await ensure(['status', 'n', 'customer.city']);
    await fill();
    const status = /Index.* on emt_c_\w+_expr__id_idx\b/;
    const n = /Index.* (?:on|using) emt_c_\w+_expr__id_idx1\b/;
    const city = /Index.* on emt_c_\w+_expr__id_idx2\b/;
    expect(await planOf({ status: 's7' })).toMatch(status);
    expect(await planOf({ status: { $eq: 's7' } })).toMatch(status);
    expect(await planOf({ status: { $in: ['s7', 's8'] } })).toMatch(status);
    expect(await planOf({ customer: { city: 'c3' } })).toMatch(city);
    expect(await planOf({ 'customer.city': 'c3' })).toMatch(city);
    expect(await planOf({ n: { $gte: 10, $lt: 20 } })).toMatch(n);
    expect(await planOf({}, { sort: 'n', limit: 10 })).toMatch(n);
    expect(await planOf({}, { sort: { n: 'desc' }, limit: 10 })).toMatch(n);
    const cursor = Buffer.from('["+n","19000",19000]').toString('base64url');
    const page = await planOf({}, { sort: 'n', limit: 10, cursor });
    expect(page).toMatch(/Index Cond: \(ROW\(\(data #>/);
    expect(page).not.toMatch(/Seq Scan/);
  });

  it('of everything serves containment', async () => {
    await ensure([], true);
    await fill();
    expect(await planOf({ status: 's7', customer: { city: 'c7' } })).toMatch(
      /Bitmap Index Scan on emt_c_\w+_data_idx/,
    );
    expect(await planOf({ tags: ['t5'] } as never)).toMatch(/Bitmap Index Scan on emt_c_\w+_data_idx/);
  });
});
