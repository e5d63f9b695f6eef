import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClosedError, TimeoutError, messageOf } from '@nestbox/core';
import { Postgres, UnsafeTransactionError } from '@nestbox/postgres';
import {
  eventually,
  freePort,
  spawnFixture,
  startPostgres,
  testDatabase,
  type TestDatabase,
  type TestPostgres,
} from '@nestbox/testing';
import postgres from 'postgres';

let database: TestDatabase;
let admin: postgres.Sql;
const opened: Postgres[] = [];

beforeAll(async () => {
  database = await testDatabase();
  admin = postgres(database.url, { max: 1, onnotice: () => undefined });
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((db) => db.close()));
});

afterAll(async () => {
  await admin.end({ timeout: 5 });
  await database.drop();
});

function open(
  options: postgres.Options<Record<string, postgres.PostgresType>> = {},
  url = database.url,
): Postgres {
  const db = new Postgres({ url, options });
  opened.push(db);
  return db;
}

async function killAll(applicationName: string): Promise<void> {
  await admin`select pg_terminate_backend(pid) from pg_stat_activity where application_name = ${applicationName}`;
}

async function pidOf(db: Postgres): Promise<number> {
  const [row] = await db.query('select pg_backend_pid() as pid');
  return Number(row!['pid']);
}

/** A server that does with each connection what it is told. */
async function fakeServer(onConnection: (socket: Socket) => void): Promise<{ url: string; server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    // Unread, it would not notice the other end's leaving.
    socket.resume();
    onConnection(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { url: `postgres://app:secret@127.0.0.1:${(server.address() as AddressInfo).port}/app`, server };
}

describe('the pool', () => {
  it('opens connections as they are needed, up to its limit, and uses the same one for calls in a row', async () => {
    const db = open({ max: 3 });
    expect(db.poolFigures).toBeUndefined();
    const first = await pidOf(db);
    expect(await pidOf(db)).toBe(first);
    expect(db.poolFigures).toEqual({ max: 3, open: 1, busy: 0, waiting: 0 });
    const sleeping = Array.from({ length: 3 }, () => db.query('select pg_sleep(0.3)'));
    await eventually(() => expect(db.poolFigures).toEqual({ max: 3, open: 3, busy: 3, waiting: 0 }));
    const waiting = Array.from({ length: 7 }, () => db.query('select 1'));
    await eventually(() => expect(db.poolFigures).toEqual({ max: 3, open: 3, busy: 3, waiting: 7 }));
    await Promise.all([...sleeping, ...waiting]);
    expect(db.poolFigures).toEqual({ max: 3, open: 3, busy: 0, waiting: 0 });
  });

  it('keeps answering while all backends are killed again and again under callers that try again at once', async () => {
    const db = open({ max: 4, connection: { application_name: 'victim' } });
    let stop = false;
    let answers = 0;
    const lastAnswers: number[] = [];
    const callers = Array.from({ length: 12 }, async (_, i) => {
      while (!stop) {
        try {
          await db.query('select $1::int as i', [i]);
          answers++;
          lastAnswers[i] = performance.now();
        } catch {
          // Tried again at once, which is what makes it hard.
        }
      }
    });
    for (let round = 0; round < 12; round++) {
      const before = answers;
      await eventually(() => answers > before + 50);
      await killAll('victim');
    }
    const end = performance.now();
    await eventually(() => expect(Math.min(...lastAnswers)).toBeGreaterThan(end));
    stop = true;
    await Promise.all(callers);
    expect(db.poolFigures!.open).toBeLessThanOrEqual(4);
  });

  it('does not fail a call for an idle connection that the server has closed', async () => {
    const db = open({ connection: { application_name: 'idler' } });
    await db.query('select 1');
    await killAll('idler');
    await eventually(() => db.poolFigures!.open === 0);
    expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
  });

  it('waits for the connections it has when the server refuses more', async () => {
    await admin`create role limited login connection limit 2`;
    const url = new URL(database.url);
    url.username = 'limited';
    const db = open({ max: 6 }, url.href);
    const rows = await Promise.all(
      Array.from({ length: 30 }, () => db.query('select pg_sleep(0.005), 1 as one')),
    );
    expect(rows).toHaveLength(30);
    await db.close();
    await admin`drop role limited`;
  });

  it('refuses a BEGIN of its caller, and gives nobody a connection with an open transaction', async () => {
    const db = open({ max: 1 });
    await expect(db.query('begin')).rejects.toThrow(UnsafeTransactionError);
    await expect(db.query('start transaction; select 1')).rejects.toThrow(UnsafeTransactionError);
    await expect(db.query('begin; select 1/0')).rejects.toThrow('division by zero');
    await expect(db.query('begin; set local application_name = x')).rejects.toThrow(UnsafeTransactionError);
    await db.query('begin; select 1; commit');
    expect(
      await db.query(
        `select pg_current_xact_id_if_assigned() is null as none, now() = statement_timestamp() as alone`,
      ),
    ).toEqual([{ none: true, alone: true }]);
  });

  it('keeps a connection after an error of a statement', async () => {
    const db = open({ max: 1 });
    const pid = await pidOf(db);
    await expect(db.query('select 1/0')).rejects.toMatchObject({ code: '22012' });
    await expect(db.query('select $1::int', ['x'])).rejects.toMatchObject({ code: '22P02' });
    expect(await pidOf(db)).toBe(pid);
  });

  it('closes idle connections after idle_timeout, and old ones after max_lifetime', async () => {
    const idling = open({ max: 2, idle_timeout: 0.05 });
    await idling.query('select 1');
    await eventually(() => idling.poolFigures!.open === 0);
    expect(await idling.query('select 1 as one')).toEqual([{ one: 1 }]);

    const ageing = open({ max: 1, max_lifetime: 0.05 });
    const first = await pidOf(ageing);
    await sleep(60);
    await ageing.query('select 1');
    expect(await pidOf(ageing)).not.toBe(first);
  });

  it('begins a transaction on another connection when the idle one is dead', async () => {
    const db = open({ max: 1, connection: { application_name: 'dead' } });
    await db.query('select 1');
    // The socket's end is not seen yet when BEGIN is sent: both happen in one turn of the event loop.
    const killed = killAll('dead');
    const results: unknown[] = [];
    let stop = false;
    const beginning = (async () => {
      while (!stop)
        results.push(await db.transaction((tx) => tx.query('select 1 as one')).catch((e: unknown) => e));
    })();
    await killed;
    await sleep(20);
    stop = true;
    await beginning;
    expect(results.at(-1)).toEqual([{ one: 1 }]);
  });
});

describe('a server that is not there', () => {
  it('fails calls with the reason, at once or after a short pause, and is used again when it is back', async () => {
    const server = await startPostgres();
    const db = open({ max: 3 }, server.url);
    await db.query('select 1');
    await server.stop();
    const start = performance.now();
    const failures = await Promise.all(
      Array.from({ length: 50 }, () => db.query('select 1').catch((error: unknown) => error)),
    );
    expect(performance.now() - start).toBeLessThan(2000);
    // Those that were quick met the closing connection, the others none.
    for (const failure of failures) expect(failure).toMatchObject({ code: expect.stringMatching(/CONN/) });
    await expect(db.query('select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await server.start();
    const back = performance.now();
    await eventually(() => db.query('select 1'), { intervalMs: 5 });
    expect(performance.now() - back).toBeLessThan(1000);
    await db.close();
    await server[Symbol.asyncDispose]();
  });

  it('is tried with growing pauses, however many calls there are', async () => {
    let connections = 0;
    const { url, server } = await fakeServer((socket) => {
      connections++;
      socket.destroy();
    });
    const db = open({}, url);
    const until = performance.now() + 1000;
    let failures = 0;
    while (performance.now() < until) {
      await db.query('select 1').catch(() => failures++);
    }
    expect(failures).toBeGreaterThan(1);
    expect(connections).toBeLessThan(20);
    await db.close();
    server.close();
  });

  it('fails after connect_timeout when it takes connections and says nothing', async () => {
    const sockets: Socket[] = [];
    const { url, server } = await fakeServer((socket) => sockets.push(socket));
    const db = open({ connect_timeout: 0.1 }, url);
    const start = performance.now();
    await expect(db.query('select 1')).rejects.toMatchObject({ code: 'CONNECT_TIMEOUT' });
    expect(performance.now() - start).toBeLessThan(1000);
    await eventually(() => sockets.length === 1 && sockets.every((socket) => socket.destroyed));
    await db.close();
    server.close();
  });
});

describe('several hosts', () => {
  it('uses the first that answers', async () => {
    const url = new URL(database.url);
    const db = open({}, `postgres://postgres@127.0.0.1:${await freePort()},${url.host}${url.pathname}`);
    expect(await db.query('select current_database() as name')).toEqual([{ name: database.name }]);
  });

  it('names what is wrong with each when none answers', async () => {
    const [one, two] = [await freePort(), await freePort()];
    const db = open({}, `postgres://app:secret@127.0.0.1:${one},127.0.0.1:${two}/app`);
    const error = await db.query('select 1').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    const messages = messageOf(error);
    expect(messages).toContain(`:${one}`);
    expect(messages).toContain(`:${two}`);
  });

  it('takes only a server of the wanted kind', async () => {
    const standby = open({ target_session_attrs: 'standby' });
    await expect(standby.query('select 1')).rejects.toThrow(
      'is not standby, as target_session_attrs asks for',
    );
    const preferring = open({ target_session_attrs: 'prefer-standby' });
    expect(await preferring.query('select 1 as one')).toEqual([{ one: 1 }]);
    const writing = open({ target_session_attrs: 'read-write' });
    expect(await writing.query('select 1 as one')).toEqual([{ one: 1 }]);
  });
});

describe('a server that hangs', () => {
  let server: TestPostgres;

  beforeAll(async () => {
    server = await startPostgres();
  });

  afterAll(() => server[Symbol.asyncDispose]());

  it('lets ping end in time, with one round trip under way however often it is asked for, and recovers', async () => {
    const db = open({ max: 2 }, server.url);
    expect(await db.ping()).toBeLessThan(1000);
    await server.freeze();
    const start = performance.now();
    for (let i = 0; i < 3; i++) await expect(db.ping(100)).rejects.toThrow(TimeoutError);
    expect(performance.now() - start).toBeLessThan(900);
    expect(db.poolFigures).toMatchObject({ busy: 1, waiting: 0 });
    await server.unfreeze();
    await eventually(() => db.ping(500));
  });

  it('does not keep close from ending', async () => {
    const db = open({ max: 2 }, server.url);
    await db.query('select 1');
    await server.freeze();
    const hanging = db.query('select 1').catch((error: unknown) => error);
    const start = performance.now();
    await db.close();
    expect(performance.now() - start).toBeLessThan(6500);
    expect(await hanging).toMatchObject({ code: 'CONNECTION_ENDED' });
    await server.unfreeze();
  });
});

describe('close', () => {
  it('waits for the statements and transactions under way, and refuses new calls', async () => {
    const db = open({ max: 2 });
    let begun = false;
    const transaction = db.transaction(async () => {
      begun = true;
      await sleep(50);
      return db.query('select 2 as two');
    });
    const statement = db.query('select pg_sleep(0.3), 1 as one');
    await eventually(() => begun && db.poolFigures!.busy === 2);
    const waiting = db.query('select 3').catch((error: unknown) => error);
    await eventually(() => db.poolFigures!.waiting === 1, { intervalMs: 1 });
    const closing = db.close();
    expect(await statement).toMatchObject([{ one: 1 }]);
    expect(await transaction).toEqual([{ two: 2 }]);
    expect(await waiting).toBeInstanceOf(ClosedError);
    await closing;
    await expect(db.query('select 1')).rejects.toThrow(ClosedError);
    await expect(db.transaction(async () => undefined)).rejects.toThrow(ClosedError);
    expect(() => db.client).toThrow(ClosedError);
  });

  it('may be called twice, and on what was never used', async () => {
    const db = open();
    await Promise.all([db.close(), db.close()]);
    await db.close();
    await expect(db.query('select 1')).rejects.toThrow(ClosedError);
    await expect(db.init()).rejects.toThrow(ClosedError);
  });

  it.each(['used', 'down', 'raw'])('lets the process end (%s)', async (how) => {
    const url = how === 'down' ? `postgres://app@127.0.0.1:${await freePort()}/app` : database.url;
    const fixture = await spawnFixture(new URL('./fixtures/close-and-end.mjs', import.meta.url), {
      args: [url, how],
    });
    await fixture.waitFor('closed');
    const ended = await Promise.race([fixture.exited, sleep(2000, 'still running', { ref: false })]);
    await fixture.kill();
    expect(ended).toEqual({ code: 0, signal: null });
  });
});
