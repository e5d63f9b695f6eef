import { ProjectionFailedError, rawSqlProjection } from '@nestbox/event-store';
import { testDatabase } from '@nestbox/testing';
import { ProjectionSpec } from '@nestbox/testing/event-store';
import postgres from 'postgres';
import { added, cart1, carts, failureOf, inCart1, type Added } from './support/carts.js';

describe('ProjectionSpec on PostgreSQL', () => {
  const stock = rawSqlProjection<Added>({
    name: 'stock',
    tables: ['stock'],
    canHandle: ['Added'],
    init: (context) =>
      `create table if not exists ${context.table('stock')} (sku text primary key, sold int)`,
    evolve: ({ data }, context) => ({
      text: `insert into ${context.table('stock')} as s values ($1, $2)
               on conflict (sku) do update set sold = s.sold + excluded.sold`,
      params: [data.sku, data.quantity],
    }),
  });

  it('runs projections of SQL and of documents, and leaves no schema behind', async () => {
    const database = await testDatabase();
    const sql = postgres(database.url, { max: 2 });
    const schemas = async (): Promise<string[]> => {
      const rows = await sql`select nspname as name from pg_namespace where nspname like 'spec%'`;
      return rows.map(({ name }) => name as string);
    };
    try {
      for (const source of [database.url, sql]) {
        let during: string[] = [];
        const tables = ProjectionSpec.for({ projection: stock, source }).given(inCart1);
        await tables.when(inCart1).then(async ({ query, table }) => {
          expect(await query(`select * from ${table('stock')} where sold > $1 order by sku`, [2])).toEqual([
            { sku: 'tea', sold: 4 },
          ]);
          during = await schemas();
        });
        expect(during).toHaveLength(1);
        await ProjectionSpec.for({ projection: carts, source }).given(inCart1).then([cart1]);
        await failureOf(tables.then(() => false));
        await expect(tables.when(added(null as never, 1)).then([])).rejects.toThrow(ProjectionFailedError);
      }
      expect(await schemas()).toEqual([]);
      expect(await sql`select 1 as one`).toEqual([{ one: 1 }]);
    } finally {
      await sql.end();
      await database.drop();
    }
  });

  it('is what projections of SQL need', async () => {
    await expect(ProjectionSpec.for({ projection: stock }).given(inCart1).then([])).rejects.toThrow(
      'SQL in a projection is not supported by the memory backend.',
    );
  });
});
