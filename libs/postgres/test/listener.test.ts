import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { jest } from '@jest/globals';
import { ClosedError, InvalidArgumentError } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import postgresJs from 'postgres';
import { Listener, Postgres } from '@nestbox/postgres';
import {
  eventually,
  freePort,
  spawnFixture,
  startPostgres,
  testDatabase,
  type TestDatabase,
} from '@nestbox/testing';

const listenerOn = (url: string, options = {}): Listener =>
  new Listener(async (overrides) => postgresJs(url, overrides), { maxBackoffMs: 200, ...options });

describe('Listener', () => {
  let database: TestDatabase;
  let postgres: Postgres;
  let warn: jest.SpiedFunction<Logger['warn']>;
  let log: jest.SpiedFunction<Logger['log']>;
  let error: jest.SpiedFunction<Logger['error']>;

  beforeAll(async () => {
    database = await testDatabase();
  });

  afterAll(async () => {
    await database.drop();
  });

  beforeEach(() => {
    postgres = new Postgres({ url: database.url, options: { max: 2 } });
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    log = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    error = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await postgres.close();
  });

  const notify = (channel: string, payload: string, on = postgres): Promise<unknown> =>
    on.query('select pg_notify($1, $2)', [channel, payload]);

  /** The server processes that serve a LISTEN connection of this database. */
  async function backends(): Promise<number[]> {
    const rows = await postgres.query<{ pid: number }>(
      `select pid from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and query ~* '^(un)?listen|^select 1$'`,
    );
    return rows.map((row) => row.pid);
  }

  it('delivers to every subscriber of a channel, on one connection for all channels', async () => {
    await using listener = disposable(listenerOn(database.url));
    const got: string[] = [];
    await listener.listen('one', (payload) => got.push(`a ${payload}`));
    await listener.listen('one', (payload) => got.push(`b ${payload}`));
    await listener.listen('Two "quoted"', (payload) => got.push(`c ${payload}`));
    expect(await backends()).toHaveLength(1);
    await notify('one', '1');
    await notify('Two "quoted"', '2');
    await eventually(() => expect(got).toEqual(['a 1', 'b 1', 'c 2']));
    expect(listener.state.status).toBe('connected');
  });

  it('is effective once it resolves, and after that not told twice', async () => {
    await using listener = disposable(listenerOn(database.url));
    const onListening = jest.fn();
    const got: string[] = [];
    await listener.listen('one', (payload) => got.push(payload), onListening);
    await notify('one', 'now');
    await listener.listen('two', () => undefined);
    await eventually(() => expect(got).toEqual(['now']));
    expect(onListening).toHaveBeenCalledTimes(1);
  });

  it('ends single subscriptions, and the connection with the last one', async () => {
    await using listener = disposable(listenerOn(database.url));
    const got: string[] = [];
    const first = await listener.listen('one', (payload) => got.push(`a ${payload}`));
    const second = await listener.listen('one', (payload) => got.push(`b ${payload}`));
    const third = await listener.listen('two', (payload) => got.push(`c ${payload}`));
    await first.unlisten();
    await first.unlisten();
    await notify('one', '1');
    await eventually(() => expect(got).toEqual(['b 1']));
    await second.unlisten();
    await notify('one', '2');
    await notify('two', '3');
    await eventually(() => expect(got).toEqual(['b 1', 'c 3']));
    await third.unlisten();
    await eventually(async () => expect(await backends()).toEqual([]));
    await eventually(() => expect(listener.state.status).toBe('idle'));

    await listener.listen('one', (payload) => got.push(`d ${payload}`));
    await notify('one', '4');
    await eventually(() => expect(got.at(-1)).toBe('d 4'));
    expect(warn).not.toHaveBeenCalled();
  });

  it('comes back each time its connection is killed, listens to all channels again, and says so once', async () => {
    await using listener = disposable(listenerOn(database.url));
    const got: string[] = [];
    let beginnings = 0;
    await listener.listen(
      'one',
      (payload) => got.push(payload),
      () => beginnings++,
    );
    await listener.listen('two', (payload) => got.push(payload));
    for (let round = 1; round <= 4; round++) {
      const [pid] = await backends();
      await postgres.query('select pg_terminate_backend($1::text::int)', [String(pid)]);
      await eventually(() => expect(beginnings).toBe(round + 1));
      await notify('one', `one ${round}`);
      await notify('two', `two ${round}`);
      await eventually(() => expect(got.slice(-2)).toEqual([`one ${round}`, `two ${round}`]));
      expect(warn).toHaveBeenCalledTimes(round);
      expect(log).toHaveBeenCalledTimes(round);
      expect(await backends()).toHaveLength(1);
    }
  });

  it('catches and logs what its callbacks throw', async () => {
    await using listener = disposable(listenerOn(database.url));
    const got: string[] = [];
    const fail = (): never => {
      throw new Error('my fault');
    };
    await listener.listen('one', fail, fail);
    await listener.listen('one', (payload) => got.push(payload));
    await notify('one', '1');
    await eventually(() => expect(got).toEqual(['1']));
    expect(error).toHaveBeenCalledTimes(2);
    expect(String(error.mock.calls[0]![0])).toContain('my fault');
  });

  it('waits for a server that is down, and survives its restart', async () => {
    await using server = await startPostgres();
    await using listener = disposable(listenerOn(server.url));
    await server.stop();
    let beginnings = 0;
    const got: string[] = [];
    const listening = listener.listen(
      'one',
      (payload) => got.push(payload),
      () => beginnings++,
    );
    await eventually(() =>
      expect(listener.state).toMatchObject({ status: 'reconnecting', reason: expect.any(String) }),
    );
    await server.start();
    await listening;
    await server.kill();
    await eventually(() => expect(listener.state.status).toBe('reconnecting'));
    await server.start();
    await eventually(() => expect(beginnings).toBe(2));
    const other = new Postgres({ url: server.url, options: { max: 1 } });
    await notify('one', 'back', other);
    await eventually(() => expect(got).toEqual(['back']));
    await other.close();
    expect(warn).toHaveBeenCalledTimes(2);
    expect(log).toHaveBeenCalledTimes(2);
  });

  it('finds out that a server hangs, and returns to it when it answers again', async () => {
    await using server = await startPostgres();
    await using listener = disposable(listenerOn(server.url, { probeMs: 100, timeoutMs: 200 }));
    let beginnings = 0;
    await listener.listen(
      'one',
      () => undefined,
      () => beginnings++,
    );
    await server.freeze();
    await eventually(() => expect(listener.state.status).toBe('reconnecting'));
    expect(listener.state.reason).toContain('did not answer within 200 ms');
    await server.unfreeze();
    await eventually(() => expect(beginnings).toBe(2));
  });

  it('does not storm a server that accepts connections and closes them', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.on('error', () => undefined);
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const listener = listenerOn(`postgres://nobody@127.0.0.1:${port}/none`, { maxBackoffMs: 5_000 });
    const listening = listener.listen('one', () => undefined);
    await eventually(() => expect(connections).toBeGreaterThanOrEqual(3), { timeoutMs: 5_000 });
    // Pauses of 50 to 100 ms, then twice that, then four times.
    expect(connections).toBeLessThanOrEqual(5);
    await listener.close();
    await expect(listening).rejects.toBeInstanceOf(ClosedError);
    server.close();
  });

  it('gives up on a peer that accepts connections and says nothing', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined).resume()).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const listener = listenerOn(`postgres://nobody@127.0.0.1:${port}/none`, { timeoutMs: 100 });
    const listening = listener.listen('one', () => undefined);
    await eventually(() => expect(listener.state.reason).toContain('did not answer within 100 ms'));
    await listener.close();
    await expect(listening).rejects.toBeInstanceOf(ClosedError);
    server.close();
    // Resolves only when all connections to it are closed.
    await once(server, 'close');
  });

  it('goes from host to host until one answers', async () => {
    const [dead, { port }] = [await freePort(), new URL(database.url)];
    const url = database.url.replace(/@[^/]*/, `@127.0.0.1:${dead},127.0.0.1:${port}`);
    await using listener = disposable(listenerOn(url));
    const got: string[] = [];
    await listener.listen('one', (payload) => got.push(payload));
    await notify('one', '1');
    await eventually(() => expect(got).toEqual(['1']));
  });

  it('listens beside a client that was passed in, which it leaves alone', async () => {
    const client = postgresJs(database.url, { max: 1, types: { bigint: postgresJs.BigInt } });
    const shared = new Postgres({ client });
    const got: string[] = [];
    await shared.listen('one', (payload) => got.push(payload));
    await shared.query('select pg_notify($1, $2)', ['one', '1']);
    await eventually(() => expect(got).toEqual(['1']));
    await shared.close();
    expect(await client`select 1 as one`).toEqual([{ one: 1 }]);
    await client.end();
  });

  it('refuses a channel that is no identifier, and to listen after it was closed', async () => {
    const listener = listenerOn(database.url);
    await expect(listener.listen('', () => undefined)).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(listener.listen('x'.repeat(64), () => undefined)).rejects.toBeInstanceOf(
      InvalidArgumentError,
    );
    await listener.close();
    await listener.close();
    await expect(listener.listen('one', () => undefined)).rejects.toBeInstanceOf(ClosedError);
  });

  it('keeps no process alive once it is closed', async () => {
    const fixture = await spawnFixture(new URL('./fixtures/listen-and-close.mjs', import.meta.url), {
      args: [database.url],
    });
    await fixture.waitFor('closed');
    const closed = performance.now();
    expect(await fixture.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - closed).toBeLessThan(1_500);
  });
});

function disposable(listener: Listener): Listener & AsyncDisposable {
  return Object.assign(listener, { [Symbol.asyncDispose]: () => listener.close() });
}
