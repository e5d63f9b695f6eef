import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareUtf8 } from '@nestbox/core';
import { Postgres } from '@nestbox/postgres';
import { eventually, freePort, testDatabase, type TestDatabase } from '@nestbox/testing';
import { type RunningShop, spawnShop, startShop } from './support/running-shop.js';
import { somebodyWaits } from './support/somebody-waits.js';

describe('The shop on its embedded PostgreSQL', () => {
  let folder: string;
  let shop: RunningShop | undefined;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nestbox-shop-'));
  });

  afterAll(async () => {
    // A clean stop takes the database along, which a SIGKILL would leave behind.
    await shop?.process.kill('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  });

  it('keeps its data when it is killed, and when it is stopped', async () => {
    shop = await spawnShop({ SHOP_DATA_DIR: folder });
    // The first start creates the database, which takes a while; the shop answers meanwhile.
    await eventually(async () => {
      const { status, json } = await shop!.get('/health/ready');
      expect([status, json]).toEqual([
        503,
        expect.objectContaining({ title: 'The shop is still starting.' }),
      ]);
    });
    await shop.ready();
    expect(shop.log.join()).toMatch(/embedded PostgreSQL/);
    const products = Array.from({ length: 20 }, (_, i) => `/products/p${i}`);
    await Promise.all(products.map((path) => shop!.put(path, { name: path, price: 100, stock: 1 })));
    const order = await shop.order('key', { items: [{ productId: 'p1', quantity: 1 }] });
    await shop.put('/settings/banner', 'Sale!');
    const stored = await Promise.all([...products, '/settings'].map((path) => shop!.get(path)));

    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const { code } = await shop.process.kill(signal);
      expect(code).toBe(signal === 'SIGKILL' ? null : 0);
      shop = await startShop({ SHOP_DATA_DIR: folder });
      const found = await Promise.all([...products, '/settings'].map((path) => shop!.get(path)));
      expect(found.map(({ text }) => text)).toEqual(stored.map(({ text }) => text));
      expect(found.map(({ headers }) => headers.get('etag'))).toEqual(
        stored.map(({ headers }) => headers.get('etag')),
      );
      const again = await shop.order('key', { items: [{ productId: 'p1', quantity: 1 }] });
      expect([again.status, again.text]).toEqual([201, order.text]);
      expect((await shop.get('/health')).json).toMatchObject({ details: { postgres: { status: 'up' } } });
    }
  });
});

describe('The shop', () => {
  let database: TestDatabase;
  let postgres: Postgres;

  beforeAll(async () => {
    database = await testDatabase();
    postgres = new Postgres(database.url);
  });

  afterAll(async () => {
    await postgres.close();
    await database.drop();
  });

  it('finishes the requests in flight when it is asked to stop, and takes no more', async () => {
    await using shop = await startShop({ DATABASE_URL: database.url });
    await shop.put('/products/slow', { name: 'Slow', price: 1, stock: 1 });
    let exit: ReturnType<RunningShop['process']['kill']>;
    let order: ReturnType<RunningShop['order']>;
    await postgres.transaction(async (transaction) => {
      await transaction.query(`select 1 from shop.product where id = 'slow' for update`);
      order = shop.order('slow', { items: [{ productId: 'slow', quantity: 1 }] });
      await somebodyWaits(postgres);
      exit = shop.process.kill('SIGTERM');
      await eventually(() =>
        shop.get('/health/ready').then(
          ({ status }) => status === 503,
          () => true,
        ),
      );
      await eventually(() =>
        fetch(shop.url).then(
          () => false,
          () => true,
        ),
      );
    });
    expect((await order!).status).toBe(201);
    expect(await exit!).toEqual({ code: 0, signal: null });
    expect(shop.process.stderr).toBe('');
  });

  it('cuts off requests that take longer than it may take to stop', async () => {
    await using shop = await startShop({ DATABASE_URL: database.url, SHUTDOWN_TIMEOUT: '300ms' });
    await shop.put('/products/stuck', { name: 'Stuck', price: 1, stock: 1 });
    await postgres.transaction(async (transaction) => {
      await transaction.query(`select 1 from shop.product where id = 'stuck' for update`);
      const order = shop.order('stuck', { items: [{ productId: 'stuck', quantity: 1 }] });
      await somebodyWaits(postgres);
      const exit = shop.process.kill('SIGTERM');
      await expect(order).rejects.toThrow(/fetch failed/);
      expect((await exit).code).toBe(1);
    });
  });

  it('ends with 0 on Ctrl-C', async () => {
    await using shop = await startShop({ DATABASE_URL: database.url });
    expect(await shop.process.kill('SIGINT')).toEqual({ code: 0, signal: null });
  });

  it('ends when npm, which started it, is gone', async () => {
    const port = await freePort();
    // As npm does it: in a shell, which ends at a signal without passing it on.
    const shell = spawn('sh', ['-c', 'node apps/shop/dist/main.js; exit $?'], {
      cwd: join(import.meta.dirname, '..'),
      env: { ...process.env, npm_lifecycle_event: 'start', DATABASE_URL: database.url, PORT: String(port) },
      stdio: 'ignore',
    });
    const answers = () => fetch(`http://127.0.0.1:${port}/health/ready`).then(({ ok }) => ok);
    await eventually(answers);
    shell.kill('SIGTERM');
    await eventually(() => expect(answers()).rejects.toThrow(/fetch failed/));
  });

  it('says so in one line when its port is taken, before it touches anything', async () => {
    const port = await freePort();
    const occupant = createServer();
    await new Promise<void>((resolve) => occupant.listen(port, '127.0.0.1', resolve));
    try {
      await using shop = await spawnShop({ SHOP_DATA_DIR: '/dev/null/nothing', PORT: String(port) });
      expect((await shop.process.exited).code).toBe(1);
      expect(shop.errors).toEqual([
        `Port ${port} is already in use. Stop what listens there, or set PORT to another one.`,
      ]);
    } finally {
      occupant.close();
    }
  });

  it('says in one line for each what is wrong with its configuration', async () => {
    await using shop = await spawnShop({
      DATABASE_URL: 'mysql://u:secret@h/d',
      REDIS_URL: 'cache',
      LOG_LEVEL: 'loud',
    });
    expect((await shop.process.exited).code).toBe(1);
    expect(shop.errors.toSorted(compareUtf8)).toEqual([
      expect.stringMatching(/^DATABASE_URL must be /),
      expect.stringMatching(/^LOG_LEVEL must be /),
      expect.stringMatching(/^REDIS_URL must be /),
    ]);
    expect(shop.process.stderr).not.toContain('secret');
  });

  it('says so in one line when there is no such database', async () => {
    const url = new URL(database.url);
    url.pathname = '/no_such_database';
    url.password = 'secret';
    await using shop = await spawnShop({ DATABASE_URL: url.href });
    expect((await shop.process.exited).code).toBe(1);
    expect(shop.errors).toEqual([expect.stringMatching(/no_such_database/)]);
    expect(JSON.stringify(shop.process.messages) + shop.process.stderr).not.toContain('secret');
  });
});
