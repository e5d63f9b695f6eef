import { jest } from '@jest/globals';
import { Postgres, isConnectionLost, type PostgresOptions } from '@nestbox/postgres';
import {
  eventually,
  startPostgresWithStandby,
  type TestDatabase,
  type TestPostgres,
  type TestPostgresWithStandby,
} from '@nestbox/testing';

/** Servers are started, killed and copied, on a machine that may be busy. */
jest.setTimeout(60_000);

let servers: TestPostgresWithStandby;
let database: TestDatabase;
const opened: Postgres[] = [];

beforeAll(async () => {
  servers = await startPostgresWithStandby();
});

afterAll(() => servers?.[Symbol.asyncDispose]());

beforeEach(async () => {
  await servers.rejoin();
  database = await servers.createDatabase();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((db) => db.close()));
  await database.drop();
});

function open(options: PostgresOptions = { url: database.url }): Postgres {
  const db = new Postgres(options);
  opened.push(db);
  return db;
}

/** The database on these servers, in this order. */
function urlOf(...on: readonly TestPostgres[]): string {
  return `postgres://postgres@${on.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${database.name}`;
}

async function portOf(db: Postgres): Promise<number> {
  const [row] = await db.query<{ port: string }>(`select current_setting('port') as port`);
  return Number(row!.port);
}

describe('a URL with several hosts', () => {
  it('leads to the one that takes writes, wherever it stands, on every way', async () => {
    const { port } = servers.primary;
    const db = open({ url: urlOf(servers.standby, servers.primary) });
    expect(await portOf(db)).toBe(port);
    const [row] = await db.client<{ port: string }[]>`select current_setting('port') as port`;
    expect(Number(row!.port)).toBe(port);
    const heard: string[] = [];
    await db.listen('news', (payload) => heard.push(payload));
    await db.query(`select pg_notify('news', 'hello')`);
    await eventually(() => expect(heard).toEqual(['hello']));
  });

  it('leads to the first that answers where it says so', async () => {
    const url = `${urlOf(servers.standby, servers.primary)}?target_session_attrs=any`;
    expect(await portOf(open({ url }))).toBe(servers.standby.port);
  });

  it('passes over a primary that is set to refuse writes', async () => {
    const admin = open({ url: urlOf(servers.primary) });
    await admin.query(`alter database "${database.name}" set default_transaction_read_only = on`);
    const { port } = servers.primary;
    await expect(open().query('select 1')).rejects.toMatchObject({
      message: expect.stringContaining(`${port} is not read-write, as target_session_attrs asks for`),
      code: 'CONNECTION_DESTROYED',
    });
  });
});

describe('when the primary is killed and the standby promoted', () => {
  it('everything comes back by itself, and is told of what happened meanwhile', async () => {
    const db = open();
    await db.query('create table item (id int primary key)');
    let listened = 0;
    const heard: string[] = [];
    await db.listen(
      'news',
      (payload) => heard.push(payload),
      () => listened++,
    );
    let woken = 0;
    using _subscription = db.wakeup.on('items', () => void woken++, { pollMs: 3_600_000 });
    await Promise.all(Array.from({ length: 8 }, (_, i) => db.query('insert into item values ($1)', [i])));
    const underWay = db.query('select pg_sleep(60)').catch((error: unknown) => error);
    const inTransaction = db
      .transaction(async () => {
        await db.query('insert into item values (100)');
        await db.query('select pg_sleep(60)');
      })
      .catch((error: unknown) => error);
    await eventually(() => expect(db.poolFigures).toMatchObject({ busy: 2 }));

    await servers.primary.kill();
    expect(isConnectionLost(await underWay)).toBe(true);
    expect(isConnectionLost(await inTransaction)).toBe(true);
    expect(await db.query('select 1').catch((error: unknown) => isConnectionLost(error))).toBe(true);
    const woke = woken;
    await servers.promote();

    await eventually(() => db.query('insert into item values (8)'));
    expect(await portOf(db)).toBe(servers.primary.port);
    expect(await db.query('select count(*)::int as items from item')).toEqual([{ items: 9 }]);
    await eventually(() => expect(listened).toBe(2));
    await eventually(() => expect(woken).toBeGreaterThan(woke));
    await db.query(`select pg_notify('news', 'after')`);
    await eventually(() => expect(heard).toEqual(['after']));
    await eventually(async () => expect(await db.client`select 1 as one`).toEqual([{ one: 1 }]));
  });

  it('a server that comes back as a standby is left alone', async () => {
    const db = open();
    await db.query('create table item (id int primary key)');
    await servers.failOver();
    await servers.rejoin();
    await eventually(() => db.query('insert into item values (1)'));
    // On as many connections as there may be.
    await Promise.all(Array.from({ length: 20 }, () => db.query('select pg_sleep(0.05)')));
    const ports = await Promise.all(Array.from({ length: 20 }, () => portOf(db)));
    expect(new Set(ports)).toEqual(new Set([servers.primary.port]));
  });
});

describe('a primary that hangs', () => {
  it('is given up when it does not answer at all, and a slow statement is not', async () => {
    const db = open({ url: database.url, options: { max: 3 } });
    await db.query('create table item (id int primary key)');
    const slow = open();
    const patient = slow.query<{ done: number }>('select pg_sleep(8), 1 as done');
    expect(await patient).toMatchObject([{ done: 1 }]);
    await Promise.all(Array.from({ length: 3 }, () => db.query('select pg_sleep(0.05)')));
    const { primary } = servers;
    await primary.freeze();
    const underWay = Promise.all(
      Array.from({ length: 3 }, () => db.query('select 1').catch((error: unknown) => error)),
    );
    await servers.promote();
    for (const error of await underWay) expect(error).toMatchObject({ code: 'ETIMEDOUT' });
    await eventually(() => db.query('insert into item values (1)'), { timeoutMs: 20_000 });
    expect(await portOf(db)).toBe(servers.primary.port);
    await primary.unfreeze();
  });
});

describe('a server that takes no writes any more', () => {
  it('is left with all connections, once one was refused', async () => {
    const admin = open({ url: urlOf(servers.primary) });
    await admin.query('create table item (id int primary key)');
    const db = open({ url: urlOf(servers.primary), options: { max: 5 } });
    const pids = async (): Promise<Set<unknown>> => {
      const rows = await Promise.all(
        Array.from({ length: 5 }, () => db.query('select pg_backend_pid() as pid, pg_sleep(0.05)')),
      );
      return new Set(rows.map(([row]) => row!['pid']));
    };
    const before = await pids();
    expect(before.size).toBe(5);
    // Open sessions take it over with the next statement.
    await admin.query('alter system set default_transaction_read_only = on');
    await admin.query('select pg_reload_conf()');
    await eventually(async () => {
      const refused = await db.query('insert into item values (1)').catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: '25006' });
    });
    await eventually(async () => {
      await db.query('insert into item values (2)').catch(() => undefined);
      const after = await pids();
      expect([...after].filter((pid) => before.has(pid))).toEqual([]);
    });
    await admin.query('alter system reset default_transaction_read_only');
    await admin.query('select pg_reload_conf()');
    await eventually(() => db.query('insert into item values (3)'));
  });

  it('keeps its connection when it was the transaction that took none', async () => {
    const db = open({ url: database.url, options: { max: 1 } });
    await db.query('create table item (id int primary key)');
    const pid = async (): Promise<unknown> => (await db.query('select pg_backend_pid() as pid'))[0]!['pid'];
    const before = await pid();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const refused = db.transaction(() => db.query('insert into item values (1)'), { readOnly: true });
    await expect(refused).rejects.toMatchObject({ code: '25006' });
    expect(await pid()).toBe(before);
  });
});
