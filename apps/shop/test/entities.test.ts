import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { DataSource } from 'typeorm';
import { ENTITIES, ENTITY_MIGRATIONS } from '../src/database/entities.js';

describe('The tables of the entities', () => {
  let database: TestDatabase;
  let dataSource: DataSource;

  beforeEach(async () => {
    database = await testDatabase();
    dataSource = new DataSource({
      type: 'postgres',
      url: database.url,
      entities: ENTITIES,
      migrations: ENTITY_MIGRATIONS,
      installExtensions: false,
    });
    await dataSource.initialize();
  });

  afterEach(async () => {
    await dataSource.destroy();
    await database.drop();
  });

  /** What TypeORM would do to make the tables as the entities declare them. */
  async function missing(): Promise<string[]> {
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    return upQueries.map(({ query }) => query);
  }

  it('are made by the migrations as the entities declare them', async () => {
    expect(await missing()).not.toEqual([]);
    await dataSource.runMigrations();
    expect(await missing()).toEqual([]);
  });

  it('are gone when the migrations are undone, and can be made again', async () => {
    await dataSource.runMigrations();
    for (const _ of ENTITY_MIGRATIONS) await dataSource.undoLastMigration();
    const [row] = await dataSource.query<{ found: boolean }[]>(
      `select to_regclass('shop.product') is not null or to_regclass('shop.customer') is not null as found`,
    );
    expect(row).toEqual({ found: false });
    await dataSource.runMigrations();
    expect(await missing()).toEqual([]);
  });

  it('hold no stock below zero, whoever writes', async () => {
    await dataSource.runMigrations();
    const insert = `insert into shop.product (id, name, price, stock, version) values ('a', 'A', 1, -1, 1)`;
    await expect(dataSource.query(insert)).rejects.toThrow(/product_stock_check/);
  });
});
