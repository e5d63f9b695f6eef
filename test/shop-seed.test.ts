import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnFixture, testDatabase, type TestDatabase } from '@nestbox/testing';
import { type RunningShop, startShop } from './support/running-shop.js';

const SEED = new URL('../apps/shop/dist/seed.js', import.meta.url);

interface Result {
  code: number | null;
  output: string;
  errors: string;
}

/** Runs the seed command to its end. */
async function seed(env: Record<string, string>, ...args: string[]): Promise<Result> {
  const command = await spawnFixture(SEED, {
    args,
    env: { NODE_ENV: '', DATABASE_URL: '', REDIS_URL: '', ...env },
  });
  const { code } = await command.exited;
  return { code, output: command.messages.join('\n'), errors: command.stderr };
}

async function idsOf(shop: RunningShop): Promise<string[]> {
  const ids: string[] = [];
  for (let path: string | undefined = '/products?limit=500'; path !== undefined;) {
    const page = await shop.get(path);
    ids.push(...(page.json as { products: { id: string }[] }).products.map(({ id }) => id));
    path = /^<(.+)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1];
  }
  return ids;
}

describe('The seed command', () => {
  let folder: string;
  let database: TestDatabase;
  let shop: RunningShop;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nestbox-seed-'));
    database = await testDatabase();
    shop = await startShop({ DATABASE_URL: database.url });
  });

  afterAll(async () => {
    await shop?.[Symbol.asyncDispose]();
    await database?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  async function file(lines: readonly string[]): Promise<string> {
    const path = join(folder, 'products.jsonl');
    await writeFile(path, lines.join('\n'));
    return path;
  }

  it('loads the catalogue once, and leaves alone what is there already', async () => {
    const env = { DATABASE_URL: database.url };
    const first = await seed(env);
    expect(first).toEqual({
      code: 0,
      output: expect.stringMatching(/^(\d+) of \1 products loaded\.$/),
      errors: '',
    });
    const ids = await idsOf(shop);
    expect(ids.length).toBeGreaterThanOrEqual(300);

    const [id] = ids;
    const { json } = await shop.get(`/products/${id}`);
    await shop.put(`/products/${id}`, { ...(json as object), stock: 7 });
    const second = await seed(env);
    expect(second.code).toBe(0);
    expect(second.output).toMatch(/^0 of \d+ products loaded, \d+ were there already/);
    expect((await shop.get(`/products/${id}`)).json).toMatchObject({ stock: 7 });
    expect(await idsOf(shop)).toEqual(ids);

    expect((await seed(env, '--replace')).code).toBe(0);
    expect((await shop.get(`/products/${id}`)).json).toEqual(json);
  });

  it('loads nothing of a file with a bad line, and says which', async () => {
    const good = (id: string) => JSON.stringify({ id, name: id, price: 1 });
    const path = await file([
      good('new-1'),
      good('new-2'),
      '{"id":"new-3","name":"x","price":"1"}',
      good('new-4'),
    ]);
    const { code, output, errors } = await seed({ DATABASE_URL: database.url }, path);
    expect([code, output]).toEqual([1, '']);
    expect(errors).toMatch(/products\.jsonl:3: price must be a whole number/);
    expect(errors).toMatch(/Nothing was loaded/);
    expect((await idsOf(shop)).filter((id) => id.startsWith('new-'))).toEqual([]);
  });

  it('says so when there is no such file, or no such database', async () => {
    const missing = await seed({ DATABASE_URL: database.url }, join(folder, 'none.jsonl'));
    expect([missing.code, missing.errors]).toEqual([1, expect.stringMatching(/ENOENT.*none\.jsonl/)]);
    const url = new URL(database.url);
    url.pathname = '/no_such_database';
    const nowhere = await seed({ DATABASE_URL: url.href });
    expect([nowhere.code, nowhere.errors]).toEqual([1, expect.stringMatching(/no_such_database/)]);
  });

  it('works beside a running shop and its embedded database, and without one', async () => {
    const env = { SHOP_DATA_DIR: join(folder, 'data') };
    expect(await seed(env)).toMatchObject({ code: 0 });
    await using embedded = await startShop(env);
    const ids = await idsOf(embedded);
    expect(ids.length).toBeGreaterThanOrEqual(300);
    const beside = await seed(env, await file([JSON.stringify({ id: 'beside', name: 'Beside', price: 1 })]));
    expect(beside).toEqual({ code: 0, output: '1 of 1 products loaded.', errors: '' });
    expect((await embedded.get('/products/beside')).status).toBe(200);
    expect(await embedded.process.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  });
});
