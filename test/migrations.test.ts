import { ChannelModule } from '@nestbox/channels';
import { runCommandLine } from '@nestbox/cli';
import { EventHubModule } from '@nestbox/event-hub';
import { EventStoreModule } from '@nestbox/event-store';
import { KvModule } from '@nestbox/kv';
import { Postgres, PostgresModule } from '@nestbox/postgres';
import { testDatabase, type TestDatabase } from '@nestbox/testing';
import { revertMigration, runMigrations } from '@nestbox/typeorm';
import { WorkflowModule } from '@nestbox/workflows';
import { jest } from '@jest/globals';
import { Test } from '@nestjs/testing';
import type { DataSource } from 'typeorm';
import { KV_TABLE } from '../apps/shop/src/shop.module.js';
import { createDataSource } from '../migrations/data-source.js';
import { NESTBOX_MIGRATIONS } from '../migrations/nestbox.migrations.js';
import { type Catalogue, readCatalogue } from './support/catalogue.js';
import { startShop } from './support/running-shop.js';

/** The table in which TypeORM writes down what it ran, and the schema of the shop's own entities. */
const OF_TYPEORM = /^(public\.)?(migrations|"?PK_[0-9a-f]+)/;
const OF_TYPEORM_OR_ENTITIES = /^(public\.)?(migrations|"?PK_[0-9a-f]+)|^shop(\.|$)/;

/** Each makes many databases. */
jest.setTimeout(240_000);

let databases: TestDatabase[] = [];

afterEach(async () => {
  for (const database of databases.splice(0)) await database.drop();
  databases = [];
});

async function emptyDatabase(): Promise<string> {
  const database = await testDatabase();
  databases.push(database);
  return database.url;
}

async function withDataSource<T>(url: string, fn: (source: DataSource) => Promise<T>): Promise<T> {
  const source = createDataSource(url);
  await source.initialize();
  try {
    return await fn(source);
  } finally {
    await source.destroy();
  }
}

const makers = {
  typeorm: async (url: string): Promise<void> => {
    await withDataSource(url, (source) => runMigrations(source));
  },

  cli: async (url: string): Promise<void> => {
    const lines: string[] = [];
    const output = { out: (line: string) => lines.push(line), error: (line: string) => lines.push(line) };
    const code = await runCommandLine(['migrate', 'run', '--url', url, '--table', KV_TABLE], {}, output);
    expect({ code, lines: code === 0 ? [] : lines }).toEqual({ code: 0, lines: [] });
  },

  /** The statements that the command prints, for those who apply them by hand. */
  sql: async (url: string): Promise<void> => {
    const lines: string[] = [];
    const output = { out: (line: string) => lines.push(line), error: (line: string) => lines.push(line) };
    expect(await runCommandLine(['migrate', 'sql', '--table', KV_TABLE], {}, output)).toBe(0);
    const postgres = new Postgres({ url, options: { max: 1 } });
    try {
      await postgres.query(lines.join('\n'));
    } finally {
      await postgres.close();
    }
  },

  /** The modules as the shop has them, without its own classes, which make tables of documents. */
  start: async (url: string): Promise<void> => {
    const module = await Test.createTestingModule({
      imports: [
        PostgresModule.forRoot({ url }),
        KvModule.forRoot({ store: 'postgres', tableName: KV_TABLE }),
        EventStoreModule.forRoot({ schema: 'event_store' }),
        WorkflowModule.forRoot({}),
        ChannelModule.forRoot({ store: 'postgres' }),
        EventHubModule.forRoot({ store: 'postgres', topics: { '**': { history: { size: 10, ttl: '1m' } } } }),
      ],
    }).compile();
    try {
      await module.init();
    } finally {
      await module.close();
    }
  },
};

/** Those that may come after others; the printed statements are for an empty database. */
const NAMES = ['typeorm', 'cli', 'start'] as const;

describe('the schemas of the shop', () => {
  it('are the same whoever makes them', async () => {
    const catalogues: Catalogue[] = [];
    for (const name of [...NAMES, 'sql'] as const) {
      const url = await emptyDatabase();
      await makers[name](url);
      catalogues.push(await readCatalogue(url, { without: OF_TYPEORM_OR_ENTITIES }));
    }
    const [typeorm, ...others] = catalogues as [Catalogue, ...Catalogue[]];
    for (const other of others) expect(other).toEqual(typeorm);
    // Of each kind there is something to compare.
    const kinds = new Set(Object.keys(typeorm).map((name) => name.split(' ')[0]));
    for (const kind of [
      'schema',
      'relation',
      'columns',
      'constraint',
      'index',
      'sequence',
      'function',
      'trigger',
      'record',
    ]) {
      expect(kinds).toContain(kind);
    }
    expect(Object.keys(typeorm).length).toBeGreaterThan(150);
  });

  it('stay the same when the others come after whoever came first', async () => {
    for (const first of [...NAMES, 'sql'] as const) {
      const url = await emptyDatabase();
      await makers[first](url);
      const before = await readCatalogue(url, { without: OF_TYPEORM_OR_ENTITIES });
      for (const next of NAMES) await makers[next](url);
      expect(await readCatalogue(url, { without: OF_TYPEORM_OR_ENTITIES })).toEqual(before);
    }
  });

  it('are the same when all three come at once', async () => {
    const alone = await emptyDatabase();
    await makers.typeorm(alone);
    const url = await emptyDatabase();
    await Promise.all(NAMES.flatMap((name) => [makers[name](url), makers[name](url)]));
    const catalogue = await readCatalogue(url, { without: OF_TYPEORM });
    expect(catalogue).toEqual(await readCatalogue(alone, { without: OF_TYPEORM }));
  });

  it('are what the shop runs on, and adds its documents to', async () => {
    const catalogues: Catalogue[] = [];
    for (const name of [...NAMES, 'the shop itself'] as const) {
      const url = await emptyDatabase();
      if (name !== 'the shop itself') await makers[name](url);
      const shop = await startShop({ DATABASE_URL: url });
      try {
        const status = await shop.put('/products/tea', { name: 'Tea', price: 350, stock: 3 });
        expect(status.status).toBe(201);
      } finally {
        await shop[Symbol.asyncDispose]();
      }
      catalogues.push(await readCatalogue(url, { without: OF_TYPEORM }));
    }
    const [first, ...others] = catalogues;
    for (const other of others) expect(other).toEqual(first);
  });
});

describe('the migrations of the shop', () => {
  it('leave nothing when they are all reverted, and make the same again', async () => {
    const url = await emptyDatabase();
    const before = await readCatalogue(url);
    await makers.typeorm(url);
    const made = await readCatalogue(url, { without: OF_TYPEORM, contents: true });
    await withDataSource(url, async (source) => {
      for (let i = 0; i < source.migrations.length; i++) await revertMigration(source);
      expect(await source.query('select * from migrations')).toEqual([]);
      await source.query('drop table migrations');
    });
    expect(await readCatalogue(url)).toEqual(before);
    await makers.typeorm(url);
    expect(await readCatalogue(url, { without: OF_TYPEORM, contents: true })).toEqual(made);
  });

  it('make the tables that the entities declare', async () => {
    const url = await emptyDatabase();
    await makers.typeorm(url);
    await withDataSource(url, async (source) => {
      const { upQueries } = await source.driver.createSchemaBuilder().log();
      expect(upQueries.map(({ query }) => query)).toEqual([]);
    });
  });

  it('lead to the newest version that the libraries have', async () => {
    const url = await emptyDatabase();
    await makers.typeorm(url);
    const lines: string[] = [];
    const output = { out: (line: string) => lines.push(line), error: (line: string) => lines.push(line) };
    const args = ['migrate', 'status', '--url', url, '--table', KV_TABLE, '--json'];
    // 3 would say that something is pending.
    expect({ code: await runCommandLine(args, {}, output) }).toEqual({ code: 0 });
    expect(JSON.parse(lines.join('\n'))).toHaveLength(NESTBOX_MIGRATIONS.length);
  });
});
