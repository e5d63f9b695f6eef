import { setMaxListeners } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Coalescer, TimeoutError } from '@nestbox/core';
import { Postgres, type PostgresOptions } from '@nestbox/postgres';

/** What is asked of a lock. Its turn is a second lock, which whoever waits for the first one holds. */
interface LockCall {
  readonly action: Action;
  readonly turn: bigint;
  readonly lock: bigint;
}

type Action =
  /** Take the turn, and the lock if both are free. */
  | 'try'
  /** Take the lock, having the turn. */
  | 'retry'
  | 'unlock';

const ACTIONS: readonly Action[] = ['try', 'retry', 'unlock'];

/** `turn` is to wait with nobody else before one. */
export type LockOutcome = 'none' | 'turn' | 'held';

const OUTCOMES: readonly LockOutcome[] = ['none', 'turn', 'held'];

const TAKE_LOCK = `case when pg_try_advisory_lock(c.lock)
  then case when pg_advisory_unlock(c.turn) then 2 else 2 end else 1 end`;
/** Nothing in it waits. A function in a branch of `case` runs only when that branch is taken. */
const STATEMENT = `select c.ord, case c.action
    when 0 then case when pg_try_advisory_lock(c.turn) then ${TAKE_LOCK} else 0 end
    when 1 then ${TAKE_LOCK}
    else case when pg_advisory_unlock(c.lock) then 2 else 0 end
  end as outcome
  from unnest($1::integer[], $2::bigint[], $3::bigint[]) with ordinality as c(action, turn, lock, ord)`;

/** An answer that takes longer counts as a lost connection. */
const TIMEOUT_MS = 5_000;
const PROBE_MS = 5_000;

/** The parsed options of postgres.js, as far as they say how to connect. */
interface ConnectionOptions {
  host: string[];
  port: number[];
  /** A Unix socket; false for none. */
  path?: string | false;
  /** The user's own way to open a socket. */
  socket?: (options: unknown) => Socket | Promise<Socket>;
}

/**
 * One connection that holds session-level advisory locks, until it fails: then its locks are free for others.
 *
 * postgres.js connects again by itself, without a word and without the locks. So it gets exactly one socket from us, and
 * no second; having that in hand also tells of its loss at once.
 */
export class LockConnection {
  private readonly ending = new AbortController();
  private readonly running = new Set<(reason: unknown) => void>();
  private readonly calls: Coalescer<LockCall, LockOutcome>;
  private owner: Postgres | undefined;
  private socket: Socket | undefined;
  private probe: NodeJS.Timeout | undefined;

  private constructor() {
    // Each lock listens to it.
    setMaxListeners(0, this.ending.signal);
    this.calls = new Coalescer({
      name: 'Locks of runs',
      flush: (calls) => this.flush(calls),
      maxInFlight: 1,
    });
  }

  /** Connects, with the parsed options of postgres.js, to the first of its hosts that answers. */
  static async open(parsed: object): Promise<LockConnection> {
    const { host: hosts } = parsed as ConnectionOptions;
    for (let i = 0; ; i++) {
      const connection = new LockConnection();
      try {
        await connection.open(parsed as ConnectionOptions, i);
        return connection;
      } catch (error) {
        connection.fail(error);
        if (i >= hosts.length - 1) throw error;
      }
    }
  }

  /** Aborts when the connection is lost or closed, with the reason. */
  get lost(): AbortSignal {
    return this.ending.signal;
  }

  /** Never waits for whoever has it. */
  async take(lock: bigint, turn: bigint, hasTurn: boolean): Promise<LockOutcome> {
    return this.calls.run({ action: hasTurn ? 'retry' : 'try', turn, lock });
  }

  /** Whether it was held. */
  async giveBack(lock: bigint, turn: bigint): Promise<boolean> {
    return (await this.calls.run({ action: 'unlock', turn, lock })) === 'held';
  }

  /** Ends it at once; all locks are free then. */
  fail(reason: unknown): void {
    if (this.ending.signal.aborted) return;
    clearInterval(this.probe);
    this.socket?.destroy();
    this.ending.abort(reason);
    for (const reject of this.running) reject(reason);
    // What it still has to say about a connection that is no more is of no interest.
    this.owner?.client.end({ timeout: 0 }).catch(() => undefined);
  }

  private async open(parsed: ConnectionOptions, index: number): Promise<void> {
    const host = parsed.host[index]!;
    const port = parsed.port[index] ?? 5432;
    const { socket: own } = parsed;
    const overrides: object = {
      ...parsed,
      host: [host],
      port: [port],
      max: 1,
      fetch_types: false,
      prepare: false,
      idle_timeout: 0,
      max_lifetime: null,
      onclose: () => this.fail(new Error('The server closed the connection.')),
      socket: async (options: unknown) =>
        this.adopt(own === undefined ? await dial(parsed.path, host, port) : await own(options)),
    };
    this.owner = new Postgres({ options: overrides as NonNullable<PostgresOptions['options']> });
    await this.run('select 1', []);
    this.probe = setInterval(() => {
      // A failure ends the connection, which is all that has to happen.
      this.run('select 1', []).catch(() => undefined);
    }, PROBE_MS).unref();
  }

  private adopt(socket: Socket): Socket {
    if (this.socket !== undefined || this.ending.signal.aborted) {
      socket.destroy();
      throw new Error('The server closed the connection.');
    }
    this.socket = socket;
    // TLS takes the listeners of the others off.
    socket.once('close', () => this.fail(new Error('The connection was closed.')));
    return socket;
  }

  private async flush(calls: readonly LockCall[]): Promise<LockOutcome[]> {
    const rows = await this.run(STATEMENT, [
      `{${calls.map(({ action }) => ACTIONS.indexOf(action)).join(',')}}`,
      `{${calls.map(({ turn }) => turn).join(',')}}`,
      `{${calls.map(({ lock }) => lock).join(',')}}`,
    ]);
    const outcomes = calls.map((): LockOutcome => 'none');
    for (const row of rows) outcomes[Number(row['ord']) - 1] = OUTCOMES[Number(row['outcome'])]!;
    return outcomes;
  }

  /** Any failure ends the connection: what it holds would be unknown. */
  private async run(text: string, params: readonly string[]): Promise<readonly Record<string, unknown>[]> {
    this.ending.signal.throwIfAborted();
    let timer: NodeJS.Timeout | undefined;
    let rejectRunning: ((reason: unknown) => void) | undefined;
    try {
      return await new Promise<readonly Record<string, unknown>[]>((resolve, reject) => {
        rejectRunning = reject;
        this.running.add(reject);
        const giveUp = (): void => reject(new TimeoutError('PostgreSQL', TIMEOUT_MS));
        // When this process was held up, the answer may be waiting to be read: so only after the next turn of I/O.
        timer = setTimeout(() => setImmediate(() => setImmediate(giveUp)), TIMEOUT_MS);
        this.owner!.client.unsafe(text, [...params]).then(resolve, reject);
      });
    } catch (error) {
      this.fail(error);
      throw error;
    } finally {
      clearTimeout(timer);
      if (rejectRunning !== undefined) this.running.delete(rejectRunning);
    }
  }
}

async function dial(path: string | false | undefined, host: string, port: number): Promise<Socket> {
  const socket = path ? connect({ path }) : connect({ host, port });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('The connection was closed.')));
  });
  // postgres.js reads the name that a certificate has to have from here.
  return Object.assign(socket, { host, port });
}
