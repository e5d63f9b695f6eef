import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClosedError, backoffMs, runInRootScope } from '@nestbox/core';
import type { Row } from '../driver.js';
import { UnsafeTransactionError } from '../postgres.errors.js';
import { Connector } from './connect.js';
import { PROBE_TIMEOUT_MS, type BegunConnection, type Database, type PoolFigures } from './database.js';
import type { ParsedOptions, PooledConnection } from './pooled-connection.js';
import { PooledTransaction } from './pooled-transaction.js';
import { SilenceWatch, type SilenceOptions } from './silence-watch.js';

interface Waiter {
  resolve(connection: PooledConnection): void;
  reject(error: unknown): void;
}

/** What `close` grants the statements and transactions that are under way. */
const CLOSE_TIMEOUT_MS = 5_000;
/** While the server is down, a call waits for the next try at the most; so it must not take long. */
const BACKOFF = { baseMs: 20, maxMs: 500 };
const SILENCE: SilenceOptions = { afterMs: 5_000, timeoutMs: 5_000 };
/** While no other server takes writes either, connections are replaced no more often than so. */
const RENEWAL_MS = 1_000;

/**
 * A pool of connections that lend themselves to one statement or transaction at a time, opened when they are needed.
 * A lost connection is replaced with the next call. While none can be had, there is one try at a time with growing
 * pauses, and its failure is that of all calls that wait.
 */
export class ConnectionPool implements Database {
  private readonly idle: PooledConnection[] = [];
  private readonly live = new Set<PooledConnection>();
  private readonly waiters = new Set<Waiter>();
  private readonly opening = new AbortController();
  private openings = 0;
  private failures = 0;
  private retryAt = 0;
  private retryTimer: NodeJS.Timeout | undefined;
  /** Connections that are older than this are not used again. */
  private renewedAt = -Infinity;
  private closing: Promise<void> | undefined;
  private whenReturned: (() => void) | undefined;
  private readonly connector: Connector;
  private readonly silence: SilenceWatch | undefined;

  constructor(
    private readonly options: ParsedOptions,
    prepare: boolean,
    silence: SilenceOptions = SILENCE,
  ) {
    this.connector = new Connector(options, prepare);
    // One for each connection that is being opened, which may be more than Node takes for a leak.
    setMaxListeners(0, this.opening.signal);
    // Where a socket of the user's leads, only the user knows.
    if (options.socket === undefined) this.silence = new SilenceWatch(this.live, silence);
  }

  get address(): string {
    const { host, port, path, database } = this.options;
    const places = path === false ? host.map((name, i) => `${name}:${port[i] ?? port[0]}`) : [path];
    return `${places.join(', ')}, database "${database}"`;
  }

  get figures(): PoolFigures {
    return {
      max: this.options.max,
      open: this.live.size,
      busy: this.live.size - this.idle.length,
      waiting: this.waiters.size,
    };
  }

  async query(text: string, params: readonly unknown[]): Promise<Row[]> {
    const connection = await this.acquire();
    try {
      const results = await connection.run(text, params);
      if (mayBegin(text, params) && (await isInTransaction(connection))) throw new UnsafeTransactionError();
      return results.at(-1) ?? [];
    } catch (error) {
      // It may have failed after its BEGIN.
      if (mayBegin(text, params)) connection.destroy();
      throw error;
    } finally {
      this.release(connection);
    }
  }

  async probe(): Promise<void> {
    const connection = await this.acquire();
    // A peer that has vanished without a word would hold the connection for many minutes.
    const timer = setTimeout(() => connection.destroy(), PROBE_TIMEOUT_MS).unref();
    try {
      await connection.run('select 1', []);
    } finally {
      clearTimeout(timer);
      this.release(connection);
    }
  }

  async begin(modes: string): Promise<BegunConnection> {
    const transaction = new PooledTransaction(await this.acquire(), modes, {
      acquire: () => this.acquire(),
      release: (connection) => {
        // Then it is the transaction that takes no writes.
        if (modes.includes('read only')) connection.hasRefusedWrites = false;
        this.release(connection);
      },
    });
    // With modes of its own, BEGIN may be refused, and what was sent with it would run without a transaction.
    if (modes !== '') await transaction.begin();
    return transaction;
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    clearTimeout(this.retryTimer);
    this.silence?.stop();
    for (const waiter of this.waiters) waiter.reject(new ClosedError('Postgres'));
    this.waiters.clear();
    this.opening.abort();
    const timeout = new AbortController();
    const late = sleep(CLOSE_TIMEOUT_MS, undefined, { signal: timeout.signal }).catch(() => undefined);
    const politely = Promise.all(this.idle.splice(0).map((connection) => connection.close()));
    const returned = new Promise<void>((resolve) => {
      this.whenReturned = resolve;
      this.checkReturned();
    });
    await Promise.race([Promise.all([politely, returned]), late]);
    timeout.abort();
    for (const connection of this.live) connection.destroy();
  }

  private async acquire(): Promise<PooledConnection> {
    for (;;) {
      if (this.closing !== undefined) throw new ClosedError('Postgres');
      const connection = this.takeIdle() ?? (await this.waitForConnection());
      // It may have been lost while the promise was on its way.
      if (connection.isUsable) {
        this.silence?.start();
        return connection;
      }
    }
  }

  /** The one used last, so that those that are not needed grow idle. */
  private takeIdle(): PooledConnection | undefined {
    const connection = this.idle.pop();
    connection?.stopIdling();
    return connection;
  }

  private waitForConnection(): Promise<PooledConnection> {
    return new Promise((resolve, reject) => {
      this.waiters.add({ resolve, reject });
      this.openMore();
    });
  }

  private release(connection: PooledConnection): void {
    connection.onLost = undefined;
    if (!connection.isUsable) return;
    if (connection.hasRefusedWrites) this.renew(connection);
    if (this.closing !== undefined || connection.isExpired || connection.openedAt < this.renewedAt) {
      void connection.close();
      return;
    }
    const [waiter] = this.waiters;
    if (waiter === undefined) {
      this.idle.push(connection);
      connection.startIdling();
    } else {
      this.waiters.delete(waiter);
      waiter.resolve(connection);
    }
  }

  /**
   * A server that takes no writes any more, though it did, is not the primary any more: so nothing is sent again on
   * the connections to it.
   */
  private renew(refused: PooledConnection): void {
    refused.hasRefusedWrites = false;
    const now = performance.now();
    if (now - refused.openedAt < RENEWAL_MS || refused.openedAt < this.renewedAt) return;
    this.renewedAt = now;
    for (const connection of this.idle.splice(0)) void connection.close();
  }

  /** Opens as many connections as there are calls without one, as far as it may. */
  private openMore(): void {
    if (this.closing !== undefined || this.retryTimer !== undefined) return;
    const pause = this.failures === 0 ? 0 : this.retryAt - performance.now();
    if (pause > 0) {
      this.retryTimer = setTimeout(() => {
        this.retryTimer = undefined;
        this.openMore();
      }, pause);
      return;
    }
    const most = this.failures === 0 ? this.options.max : 1;
    while (
      this.openings < Math.min(most, this.waiters.size) &&
      this.live.size + this.openings < this.options.max
    ) {
      this.openings++;
      // `open` never rejects. The connection serves many callers, so it must not keep the context of one.
      void runInRootScope(() => this.open());
    }
  }

  private async open(): Promise<void> {
    try {
      const connection = await this.connector.connect(this.opening.signal);
      this.openings--;
      this.failures = 0;
      this.live.add(connection);
      connection.onEnded = () => this.forget(connection);
      if (connection.isUsable) this.release(connection);
      else this.forget(connection);
    } catch (error) {
      this.openings--;
      this.noteFailure();
      // Where there are connections, the calls wait for one of these.
      if (this.live.size === 0 && this.openings === 0) this.rejectAll(error);
    }
    if (this.waiters.size > 0) this.openMore();
    this.checkReturned();
  }

  /** Tries that failed at the same time count once. */
  private noteFailure(): void {
    const now = performance.now();
    if (now < this.retryAt) return;
    this.failures++;
    this.retryAt = now + backoffMs(this.failures, BACKOFF);
  }

  private rejectAll(error: unknown): void {
    const waiters = [...this.waiters];
    this.waiters.clear();
    for (const waiter of waiters) waiter.reject(error);
  }

  private forget(connection: PooledConnection): void {
    this.live.delete(connection);
    const index = this.idle.indexOf(connection);
    if (index >= 0) this.idle.splice(index, 1);
    if (this.waiters.size > 0) this.openMore();
    this.checkReturned();
  }

  private checkReturned(): void {
    if (this.live.size === 0 && this.openings === 0) this.whenReturned?.();
  }
}

/** Only a text without parameters may hold several statements, and BEGIN takes none. */
function mayBegin(text: string, params: readonly unknown[]): boolean {
  return params.length === 0 && /\b(?:begin|start)\b/i.test(text);
}

/** A statement that is a transaction of its own begins when that begins. */
async function isInTransaction(connection: PooledConnection): Promise<boolean> {
  const [rows] = await connection.run('select now() <> statement_timestamp() as answer', []);
  return rows?.[0]?.['answer'] === true;
}
