import { createServer } from 'node:net';
import { InvalidArgumentError } from '@nestbox/core';
import {
  Postgres,
  PostgresUnavailableError,
  isConnectionLost,
  isDataError,
  quoteIdentifier,
  textArray,
  type PostgresOptions,
} from '@nestbox/postgres';
import { freePort, startPostgres, testDatabase, type TestDatabase } from '@nestbox/testing';
import fc from 'fast-check';
import postgres from 'postgres';

let database: TestDatabase;
let db: Postgres;

beforeAll(async () => {
  database = await testDatabase();
  db = new Postgres(database.url);
});

afterAll(async () => {
  await db.close();
  await database.drop();
});

describe('query', () => {
  it('gives rows as postgres.js does, with int8 as bigint and arrays as arrays', async () => {
    const [row] = await db.query(
      `select 9007199254740993::int8 as big, 1.5::float8 as float, 'x'::text as text, '{"a":[1]}'::jsonb as json,
              null as nothing, true as yes, '2026-01-02T03:04:05Z'::timestamptz as at, '\\x00ff'::bytea as bytes,
              array['a', null, 'NULL', 'b "c" \\ {d},e', ''] as texts, array[[1,2],[3,4]] as matrix,
              '[0:1]={true,false}'::bool[] as bounded, '{}'::int8[] as empty, array[1::int8] as bigs,
              '{(2,2),(1,1);(4,4),(3,3)}'::box[] as boxes`,
    );
    expect(row).toEqual({
      big: 9007199254740993n,
      float: 1.5,
      text: 'x',
      json: { a: [1] },
      nothing: null,
      yes: true,
      at: new Date('2026-01-02T03:04:05Z'),
      bytes: Buffer.from([0, 255]),
      texts: ['a', null, 'NULL', 'b "c" \\ {d},e', ''],
      matrix: [
        [1, 2],
        [3, 4],
      ],
      bounded: [true, false],
      empty: [],
      bigs: [1n],
      boxes: ['(2,2),(1,1)', '(4,4),(3,3)'],
    });
  });

  it('takes arrays as parameters, as such and as text', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.option(fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')))),
        async (texts) => {
          const [row] = await db.query('select $1::text[] as a, $2::text[] as b', [texts, textArray(texts)]);
          expect(row).toEqual({ a: texts, b: texts });
        },
      ),
      { numRuns: 100 },
    );
    expect(
      await db.query('select $1::int[] as matrix', [
        [
          [1, 2],
          [3, null],
        ],
      ]),
    ).toEqual([
      {
        matrix: [
          [1, 2],
          [3, null],
        ],
      },
    ]);
  });

  it('runs several statements in one text, and gives the rows of the last', async () => {
    expect(await db.query('select 1 as a; select 2 as b')).toEqual([{ b: 2 }]);
    expect(await db.query('')).toEqual([]);
  });

  it('refuses an undefined parameter before anything is sent', async () => {
    await expect(db.query('select $1', [undefined])).rejects.toThrow(InvalidArgumentError);
    await expect(db.query('select $1', [1, undefined])).rejects.toThrow(
      'Invalid params[1]: is undefined; use null.',
    );
  });

  it('prints no notices', async () => {
    const written: unknown[] = [];
    const write = process.stdout.write.bind(process.stdout);
    process.stdout.write = (chunk: string | Uint8Array) => written.push(chunk) > 0;
    try {
      await db.query(`do $$ begin raise notice 'hello'; end $$`);
    } finally {
      process.stdout.write = write;
    }
    expect(written).toEqual([]);
  });
});

describe('the clients', () => {
  it('tells the server’s version', async () => {
    expect(await db.serverVersion()).toBeGreaterThanOrEqual(150_000);
  });

  it('has a raw client with the same options', async () => {
    const [row] =
      await db.client`select current_database() as name, 1::int8 as big, ${['a', 'b']}::text[] as list`;
    expect(row).toEqual({ name: database.name, big: 1n, list: ['a', 'b'] });
    expect(db.client).toBe(db.client);
  });

  it('applies a transform to the raw client only', async () => {
    const renaming = new Postgres({ url: database.url, options: { transform: postgres.camel } });
    expect(await renaming.query('select 1 as a_b')).toEqual([{ a_b: 1 }]);
    expect([...(await renaming.client`select 1 as a_b`)]).toEqual([{ aB: 1 }]);
    await renaming.close();
  });

  it('works through a client that was passed in, and leaves it open', async () => {
    const client = postgres(database.url, { max: 2 });
    const shared = new Postgres({ client });
    expect(shared.client).toBe(client);
    expect(await shared.query('select $1::text as a, current_database() as name', ['x'])).toEqual([
      { a: 'x', name: database.name },
    ]);
    expect(shared.poolFigures).toEqual({ max: 2, busy: 0 });
    await shared.listen('shared', () => undefined);
    await shared.close();
    await expect(shared.query('select 1')).rejects.toMatchObject({ code: 'CLOSED' });
    expect([...(await client`select 1 as one`)]).toEqual([{ one: 1 }]);
    await client.end({ timeout: 1 });
  });

  it.each<[string, PostgresOptions]>([
    ['nothing', {}],
    ['a url and a client', { url: 'postgres://x', client: postgres('postgres://x') }],
    ['a url and an embedded server', { url: 'postgres://x', embedded: { dataDir: 'x' } }],
    ['options beside a client', { client: postgres('postgres://x'), options: { max: 1 } }],
    ['a client that is none', { client: {} as postgres.Sql }],
    ['a client that renames columns', { client: postgres('postgres://x', { transform: postgres.camel }) }],
    ['a timeout that is none', { url: 'postgres://x', connectTimeout: 'soon' }],
  ])('refuses %s', (_, options) => {
    expect(() => new Postgres(options)).toThrow(InvalidArgumentError);
  });
});

describe('init', () => {
  it('makes a round trip', async () => {
    const fresh = new Postgres(database.url);
    await Promise.all([fresh.init(), fresh.init()]);
    expect(fresh.poolFigures).toMatchObject({ open: 1 });
    await fresh.close();
  });

  it('gives up after connectTimeout, and says where and why, without the password', async () => {
    const port = await freePort();
    const down = new Postgres({ url: `postgres://app:hush@127.0.0.1:${port}/shop`, connectTimeout: '300ms' });
    const start = performance.now();
    const error = await down.init().catch((reason: unknown) => reason);
    const elapsed = performance.now() - start;
    expect(error).toBeInstanceOf(PostgresUnavailableError);
    expect(error).toMatchObject({
      code: 'POSTGRES_UNAVAILABLE',
      address: `127.0.0.1:${port}, database "shop"`,
      cause: { code: 'ECONNREFUSED' },
      message: expect.stringMatching(
        new RegExp(
          `^Could not connect to PostgreSQL at 127.0.0.1:${port}, database "shop": connect ECONNREFUSED`,
        ),
      ),
    });
    expect(String(error)).not.toContain('hush');
    expect(elapsed).toBeLessThan(1500);
    await down.close();
  });

  it('gives up in time also on a server that takes connections and says nothing', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address() as { port: number };
    const silent = new Postgres({ url: `postgres://app@127.0.0.1:${address.port}/app`, connectTimeout: 200 });
    const start = performance.now();
    await expect(silent.init()).rejects.toThrow('PostgreSQL did not answer within 200 ms.');
    expect(performance.now() - start).toBeLessThan(1000);
    await silent.close();
    server.close();
  });

  it('does not try again where that is of no use', async () => {
    const url = new URL(database.url);
    url.pathname = '/no_such_database';
    const wrong = new Postgres(url.href);
    const start = performance.now();
    await expect(wrong.init()).rejects.toThrow('database "no_such_database" does not exist');
    expect(performance.now() - start).toBeLessThan(2000);
    await wrong.close();
  });

  it('waits for a server that is still starting', async () => {
    const server = await startPostgres();
    await server.stop();
    const waiting = new Postgres(server.url);
    const ready = waiting.init();
    await server.start();
    await ready;
    expect(waiting.poolFigures).toMatchObject({ open: 1 });
    await waiting.close();
    await server[Symbol.asyncDispose]();
  });

  it('may be called again after it has failed', async () => {
    const server = await startPostgres();
    await server.stop();
    const patient = new Postgres({ url: server.url, connectTimeout: 50 });
    await expect(patient.init()).rejects.toThrow(PostgresUnavailableError);
    await server.start();
    await patient.init();
    await patient.close();
    await server[Symbol.asyncDispose]();
  });

  it('asks a password function, and reports its failure', async () => {
    const asked = new Postgres({ url: database.url, options: { password: () => Promise.resolve('any') } });
    await asked.init();
    await asked.close();
    const failing = new Postgres({
      url: database.url,
      options: { password: () => Promise.reject(new Error('no vault')) },
    });
    await expect(failing.init()).rejects.toThrow('no vault');
    await failing.close();
  });
});

describe('texts for SQL', () => {
  it('quotes identifiers', async () => {
    const name = 'Select "x"; drop -- 🦜';
    await db.query(`create temp table ${quoteIdentifier(name)} (a int)`);
    expect(quoteIdentifier(name)).toBe('"Select ""x""; drop -- 🦜"');
    expect(() => quoteIdentifier('')).toThrow(InvalidArgumentError);
    expect(() => quoteIdentifier('x'.repeat(64))).toThrow(InvalidArgumentError);
  });
});

describe('errors', () => {
  it('tells errors of data from others', async () => {
    const codeOf = (text: string): Promise<unknown> => db.query(text).catch((error: unknown) => error);
    await db.query('create temp table small (a int check (a < 10)); drop table small');
    for (const text of ['select 1/0', `select 'x'::int`, `select repeat('x', 2000000000)`]) {
      expect(isDataError(await codeOf(text))).toBe(true);
    }
    for (const text of ['select * from nowhere', 'selekt'])
      expect(isDataError(await codeOf(text))).toBe(false);
    expect(isDataError(undefined)).toBe(false);
  });

  it('tells lost connections from others, also as a cause', async () => {
    const refused = await new Postgres(`postgres://x@127.0.0.1:${await freePort()}/x`)
      .query('select 1')
      .catch((error: unknown) => error);
    expect(isConnectionLost(refused)).toBe(true);
    expect(isConnectionLost(new Error('wrapped', { cause: refused }))).toBe(true);
    expect(isConnectionLost(await db.query('select 1/0').catch((error: unknown) => error))).toBe(false);
    expect(isConnectionLost(null)).toBe(false);
  });
});
