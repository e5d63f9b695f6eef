import { jest } from '@jest/globals';
import { ClosedError, InvalidArgumentError } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { Postgres, Wakeup } from '@nestbox/postgres';
import { eventually, spawnFixture, startPostgres, testDatabase, type TestDatabase } from '@nestbox/testing';

/** Polling is out of the question where a test is about something else. */
const NEVER = { pollMs: 3_600_000 };

describe('Wakeup', () => {
  let database: TestDatabase;
  let one: Postgres;
  let two: Postgres;
  let error: jest.SpiedFunction<Logger['error']>;
  let warn: jest.SpiedFunction<Logger['warn']>;

  beforeAll(async () => {
    database = await testDatabase();
  });

  afterAll(async () => {
    await database.drop();
  });

  beforeEach(() => {
    one = new Postgres({ url: database.url, options: { max: 2 } });
    two = new Postgres({ url: database.url, options: { max: 2 } });
    jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    error = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await Promise.all([one.close(), two.close()]);
  });

  /** Resolves once a Postgres hears what others send, with the calls of its subscriber set back. */
  async function heard(postgres: Postgres, calls: jest.Mock<() => void>): Promise<void> {
    await eventually(() => postgres.listenerState === 'connected');
    await eventually(() => expect(calls).toHaveBeenCalled());
    calls.mockClear();
  }

  /** Counts the NOTIFY statements that a wake-up sends. */
  function counting(postgres: Postgres): {
    wakeup: Wakeup;
    statements: () => number;
    payloads: () => string[];
  } {
    const sent: string[] = [];
    let statements = 0;
    const wakeup = new Wakeup({
      get currentTransaction() {
        return postgres.currentTransaction;
      },
      listen: postgres.listen.bind(postgres),
      query: async <R>(text: string, params: readonly unknown[] = []) => {
        statements++;
        sent.push(String(params[0]));
        return (await postgres.query(text, params)) as R[];
      },
    });
    return { wakeup, statements: () => statements, payloads: () => sent };
  }

  it('wakes subscribers in other processes, and no others', async () => {
    const [a, b] = [jest.fn<() => void>(), jest.fn<() => void>()];
    using _a = two.wakeup.on('topic a', a, NEVER);
    using _b = two.wakeup.on('topic b', b, NEVER);
    await heard(two, a);
    b.mockClear();
    await using child = await spawnFixture(new URL('./fixtures/notify.mjs', import.meta.url), {
      args: [database.url],
    });
    await child.waitFor('ready');
    child.send({ topics: ['topic a'] });
    await eventually(() => expect(a).toHaveBeenCalledTimes(1));
    expect(b).not.toHaveBeenCalled();
  });

  it('wakes subscribers in the same process without the way through the server', async () => {
    const calls = jest.fn<() => void>();
    using _ = one.wakeup.on('topic', calls, NEVER);
    await heard(one, calls);
    one.wakeup.notify('topic');
    await eventually(() => expect(calls).toHaveBeenCalledTimes(1));
    // What comes back from the server is known to be our own.
    const marker = jest.fn<() => void>();
    using _marker = one.wakeup.on('marker', marker, NEVER);
    two.wakeup.notify('marker');
    await eventually(() => expect(marker).toHaveBeenCalled());
    expect(calls).toHaveBeenCalledTimes(1);
  });

  it('packs what is notified at the same time into one statement', async () => {
    const { wakeup, statements } = counting(one);
    const calls = jest.fn<() => void>();
    using _ = two.wakeup.on('topic 77', calls, NEVER);
    await heard(two, calls);
    for (let i = 0; i < 1_000; i++) wakeup.notify(`topic ${i % 100}`);
    await eventually(() => expect(calls).toHaveBeenCalledTimes(1));
    expect(statements()).toBe(1);
    await wakeup.close();
  });

  it('sends few statements under a steady load, the first at once', async () => {
    const { wakeup, statements } = counting(one);
    const start = performance.now();
    wakeup.notify('topic');
    await eventually(() => expect(statements()).toBe(1), { intervalMs: 1 });
    while (performance.now() - start < 250) {
      wakeup.notify('topic');
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(statements()).toBeGreaterThan(3);
    expect(statements()).toBeLessThanOrEqual(250 / 4);
    await wakeup.close();
  });

  it('splits what does not fit into one payload', async () => {
    const got = new Set<string>();
    const topics = Array.from({ length: 40 }, (_, i) => `${i} ${'é'.repeat(400)}`);
    const subscriptions = topics.map((topic) => two.wakeup.on(topic, () => void got.add(topic), NEVER));
    await eventually(() => two.listenerState === 'connected');
    await eventually(() => expect(got.size).toBe(40));
    got.clear();
    for (const topic of topics) one.wakeup.notify(topic);
    await eventually(() => expect(got.size).toBe(40));
    for (const subscription of subscriptions) subscription[Symbol.dispose]();
  });

  it('waits for the commit of the ambient transaction, and says nothing after a rollback', async () => {
    const calls = jest.fn<() => void>();
    using _ = one.wakeup.on('topic', calls, NEVER);
    await heard(one, calls);
    await one.transaction(async () => {
      one.wakeup.notify('topic');
      await one.query('select 1');
      await new Promise((resolve) => setTimeout(resolve, 30));
      expect(calls).not.toHaveBeenCalled();
    });
    await eventually(() => expect(calls).toHaveBeenCalledTimes(1));

    const inVain = one.transaction(async () => {
      one.wakeup.notify('topic');
      throw new Error('rolled back');
    });
    await expect(inVain).rejects.toThrow('rolled back');
    await one.transaction(async () => {
      const nested = one.transaction(async () => {
        one.wakeup.notify('topic');
        throw new Error('rolled back');
      });
      await expect(nested).rejects.toThrow('rolled back');
    });
    const marker = jest.fn<() => void>();
    using _marker = one.wakeup.on('marker', marker, NEVER);
    one.wakeup.notify('marker');
    await eventually(() => expect(marker).toHaveBeenCalled());
    expect(calls).toHaveBeenCalledTimes(1);
  });

  it('never lets calls overlap, and calls once more for what came during a call', async () => {
    let running = 0;
    let most = 0;
    let calls = 0;
    let finish: (() => void) | undefined;
    const handler = async (): Promise<void> => {
      calls++;
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => (finish = resolve));
      running--;
    };
    using _ = one.wakeup.on('topic', handler, NEVER);
    one.wakeup.notify('topic');
    await eventually(() => expect(calls).toBe(1));
    // Its own beginning to listen may have woken it too.
    await eventually(() => one.listenerState === 'connected');
    for (let i = 0; i < 100; i++) one.wakeup.notify('topic');
    finish!();
    await eventually(() => expect(calls).toBe(2));
    finish!();
    await eventually(() => expect(running).toBe(0));
    expect(calls).toBe(2);
    expect(most).toBe(1);
  });

  it('logs a failing handler once, and goes on calling it', async () => {
    let calls = 0;
    const handler = (): void => {
      calls++;
      if (calls <= 3) throw new Error('not yet');
    };
    using _ = one.wakeup.on('topic', handler, { pollMs: 10 });
    await eventually(() => expect(calls).toBeGreaterThan(5));
    expect(error).toHaveBeenCalledTimes(1);
    expect(String(error.mock.calls[0]![0])).toBe('What "topic" wakes has failed: not yet');
  });

  it('warns once, without a stack, of a handler that cannot reach PostgreSQL, and again after it could', async () => {
    let calls = 0;
    const handler = (): void => {
      calls++;
      if (calls === 4) return;
      throw Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' });
    };
    using _ = one.wakeup.on('topic', handler, { pollMs: 10 });
    await eventually(() => expect(calls).toBeGreaterThan(6));
    const line =
      'What "topic" wakes cannot reach PostgreSQL; trying again: connect ECONNREFUSED 127.0.0.1:5432';
    expect(warn.mock.calls).toEqual([[line], [line]]);
    expect(error).not.toHaveBeenCalled();
  });

  it('calls a handler that wakes itself again and again without keeping the process from all else', async () => {
    let calls = 0;
    using subscription = one.wakeup.on('topic', () => (calls++, one.wakeup.notify('topic')), NEVER);
    one.wakeup.notify('topic');
    await eventually(() => expect(calls).toBeGreaterThan(50));
    subscription[Symbol.dispose]();
    const after = calls;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(calls).toBe(after);
  });

  it('calls nobody who has disposed, be it in the middle of a call', async () => {
    const calls = jest.fn<() => void>();
    const subscription = one.wakeup.on('topic', calls, { pollMs: 5 });
    await eventually(() => expect(calls).toHaveBeenCalled());
    subscription[Symbol.dispose]();
    subscription[Symbol.dispose]();
    calls.mockClear();
    one.wakeup.notify('topic');
    subscription.wake();
    subscription.wakeIn(1);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(calls).not.toHaveBeenCalled();
  });

  it('calls at the time asked for, the earliest of several', async () => {
    const start = performance.now();
    const at: number[] = [];
    using subscription = one.wakeup.on('topic', () => void at.push(performance.now() - start), NEVER);
    await eventually(() => one.listenerState === 'connected');
    await eventually(() => expect(at).toHaveLength(1));
    const asked = performance.now() - start;
    subscription.wakeIn(5_000);
    subscription.wakeIn(100);
    subscription.wakeIn(3_000);
    await eventually(() => expect(at).toHaveLength(2));
    expect(at[1]! - asked).toBeGreaterThanOrEqual(99);
    expect(at[1]! - asked).toBeLessThan(1_000);
  });

  it('makes up for a lost NOTIFY within the poll interval', async () => {
    const calls: number[] = [];
    using _ = two.wakeup.on('topic', () => void calls.push(performance.now()), { pollMs: 200 });
    await eventually(() => expect(calls.length).toBeGreaterThan(6), { timeoutMs: 5_000 });
    const pauses = calls.slice(2).map((at, i) => at - calls[i + 1]!);
    for (const pause of pauses) expect(pause).toBeGreaterThanOrEqual(145);
    // 200 ms at the most, and something for a busy machine.
    expect(Math.min(...pauses)).toBeLessThanOrEqual(215);
  });

  it('wakes everybody whenever the LISTEN connection is back, however often it is killed', async () => {
    const seen: number[] = [];
    await one.query('create table counter (n integer); insert into counter values (0)');
    // What a subscriber does: read what there is.
    const handler = async (): Promise<void> => {
      const [row] = await two.query<{ n: number }>('select n from counter');
      seen.push(row!.n);
    };
    using _ = two.wakeup.on('counter', handler, NEVER);
    await eventually(() => expect(two.listenerState).toBe('connected'));
    for (let n = 1; n <= 30; n++) {
      if (n % 6 === 0) {
        await one.query(`
          select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and query like 'listen%'`);
      }
      await one.query('update counter set n = n + 1');
      one.wakeup.notify('counter');
      // Nothing but the wake-up, or the reconnect, leads to this.
      await eventually(() => expect(seen.at(-1)).toBe(n));
    }
    await one.query('drop table counter');
  });

  it('goes on after a restart of the server, and never lets notify throw', async () => {
    await using server = await startPostgres();
    const a = new Postgres({ url: server.url, options: { max: 1 } });
    const b = new Postgres({ url: server.url, options: { max: 1 } });
    const calls = jest.fn<() => void>();
    using _ = b.wakeup.on('topic', calls, { pollMs: 3_600_000 });
    await heard(b, calls);
    await server.stop();
    for (let i = 0; i < 20; i++) a.wakeup.notify('topic');
    await eventually(() =>
      expect(warn.mock.calls.some(([text]) => String(text).startsWith('NOTIFY failed'))).toBe(true),
    );
    await server.start();
    await eventually(() => expect(b.listenerState).toBe('connected'));
    await eventually(() => expect(calls).toHaveBeenCalled());
    calls.mockClear();
    a.wakeup.notify('topic');
    await eventually(() => expect(calls).toHaveBeenCalledTimes(1));
    await Promise.all([a.close(), b.close()]);
  });

  it('wakes all for a NOTIFY that somebody made by hand', async () => {
    const calls = jest.fn<() => void>();
    using _ = two.wakeup.on('topic', calls, NEVER);
    await heard(two, calls);
    await one.query('notify nestbox');
    await eventually(() => expect(calls).toHaveBeenCalledTimes(1));
  });

  it('sends what it was told before it was closed, and takes nothing after', async () => {
    const calls = jest.fn<() => void>();
    using _ = two.wakeup.on('topic', calls, NEVER);
    await heard(two, calls);
    one.wakeup.notify('topic');
    await one.wakeup.close();
    await one.wakeup.close();
    await eventually(() => expect(calls).toHaveBeenCalledTimes(1));
    one.wakeup.notify('topic');
    expect(() => one.wakeup.on('topic', calls)).toThrow(ClosedError);
  });

  it('refuses a topic or an interval that makes no sense', () => {
    expect(() => one.wakeup.on('', jest.fn<() => void>())).toThrow(InvalidArgumentError);
    expect(() => one.wakeup.on('x'.repeat(1_025), jest.fn<() => void>())).toThrow(InvalidArgumentError);
    expect(() => one.wakeup.on('topic', jest.fn<() => void>(), { pollMs: 0 })).toThrow(InvalidArgumentError);
    expect(() => one.wakeup.on('topic', jest.fn<() => void>(), { pollMs: Number.NaN })).toThrow(
      InvalidArgumentError,
    );
    one.wakeup.notify('x'.repeat(9_000));
  });
});
