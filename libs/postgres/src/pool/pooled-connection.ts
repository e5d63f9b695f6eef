import type { Socket } from 'node:net';
import { loadDriver, type DriverOptions, type Sql } from '../driver.js';
import { ARRAY_TYPES, addArrayTypes, type TypeTables } from './array-types.js';
import { sending, type Send } from './send.js';
import type { StatementResult } from './statement.js';
import { openSocket, type Place } from './socket.js';

/** The options of postgres.js after it has parsed them, as far as we read them. */
export interface ParsedOptions extends TypeTables {
  pass: string | (() => string | Promise<string>);
  fetch_types: boolean;
  host: string[];
  port: number[];
  path: string | false;
  database: string;
  max: number;
  connect_timeout: number;
  idle_timeout: number | null;
  max_lifetime: number | (() => number) | null;
  target_session_attrs: string | null | undefined;
  socket: ((options: unknown) => Socket | Promise<Socket>) | undefined;
}

/**
 * A prepared statement takes some 20 kB of the server's memory until its connection ends, and code that writes values
 * into its texts makes new ones all the time. So a connection prepares so many, and is then replaced.
 */
const MOST_PREPARED = 500;

/**
 * One connection for one caller at a time, used until it fails and then thrown away.
 *
 * It is a postgres.js client with one socket. We do not use postgres.js's own pool, since in version 3.4 a
 * connection that was lost while statements were being issued may come back in a state in which it hangs for ever,
 * or answers the wrong caller. Here nothing is issued on a connection that has failed, and none connects twice.
 */
export class PooledConnection {
  /** Whether it has been used for nothing yet but connecting. */
  isFresh = true;
  /** Whether the server has refused a statement because it takes no writes. */
  hasRefusedWrites = false;
  readonly openedAt = performance.now();
  private readonly expiresAt: number;
  /** Since when an answer is waited for. */
  private askedAt: number | undefined;
  private idleTimer: NodeJS.Timeout | undefined;
  /** Called once, when it has ended, with the reason. */
  onEnded: (reason: Error) => void = () => undefined;
  /** Called before {@link onEnded}, on behalf of who uses it at the moment. */
  onLost: ((reason: unknown) => void) | undefined;
  /** Why it has ended, once it has. */
  endReason: Error | undefined;
  private rejectRunning: ((reason: Error) => void) | undefined;
  private socket: Socket | undefined;
  private sql: Sql | undefined;
  private readonly prepared = new Set<string>();

  constructor(
    private readonly options: ParsedOptions,
    readonly place: Place,
    private readonly prepare: boolean,
  ) {
    const { max_lifetime: lifetime } = options;
    const lifetimeS = typeof lifetime === 'function' ? lifetime() : lifetime;
    this.expiresAt = lifetimeS ? performance.now() + lifetimeS * 1000 : Infinity;
  }

  get isUsable(): boolean {
    return this.endReason === undefined;
  }

  /** Whether it has lived as long as `max_lifetime` allows, or has prepared as many statements as it may. */
  get isExpired(): boolean {
    return this.prepared.size >= MOST_PREPARED || performance.now() >= this.expiresAt;
  }

  /** For how long an answer has been waited for, in ms; 0 when none is. */
  get silentMs(): number {
    return this.askedAt === undefined ? 0 : performance.now() - this.askedAt;
  }

  /** Closes it when it is not used for as long as `idle_timeout` says. */
  startIdling(): void {
    const { idle_timeout: idleS } = this.options;
    if (idleS) this.idleTimer = setTimeout(() => void this.close(), idleS * 1000).unref();
  }

  stopIdling(): void {
    clearTimeout(this.idleTimer);
  }

  /** Connects. @throws the reason why it could not */
  async open(): Promise<void> {
    const { options } = this;
    const pass = typeof options.pass === 'function' ? await options.pass() : options.pass;
    const own: Record<string, unknown> = {
      ...options,
      pass,
      host: [this.place.host],
      port: [this.place.port],
      max: 1,
      fetch_types: false,
      idle_timeout: null,
      max_lifetime: null,
      // The names of columns and values of a `transform` are for the raw client only: what reads our rows expects
      // them as they are.
      transform: { undefined: undefined, column: {}, value: {}, row: {} },
      socket: () => this.openSocket(),
      onclose: () => this.finish(closedByServer(this.place)),
    };
    if (this.endReason === undefined) this.sql = loadDriver()(own as DriverOptions);
    const results = await this.run(options.fetch_types ? ARRAY_TYPES : 'select 1', []);
    if (options.fetch_types) addArrayTypes(options, results.at(-1)!);
    this.isFresh = true;
  }

  /**
   * Runs a text; see `execute`. Any failure but an error of the statement itself ends the connection.
   */
  run(text: string, params: readonly unknown[]): Promise<StatementResult[]> {
    return this.send(sending({ text, params }));
  }

  /** As {@link run}, for a statement of any kind. */
  async send<T>(send: Send<T>): Promise<T> {
    const sql = this.start();
    try {
      return await new Promise((resolve, reject) => {
        this.rejectRunning = reject;
        send(sql, this.mayPrepare).then(resolve, reject);
      });
    } catch (error) {
      this.examine(error);
      throw error;
    } finally {
      this.rejectRunning = undefined;
      this.askedAt = undefined;
    }
  }

  /**
   * Sends several statements at once. PostgreSQL skips those behind one that fails, if they are in a transaction.
   *
   * @returns what became of each
   */
  async sendAll<T>(statements: readonly Send<T>[]): Promise<PromiseSettledResult<T>[]> {
    const sql = this.start();
    const outcomes: (PromiseSettledResult<T> | undefined)[] = [];
    let left = statements.length;
    // Without a race of promises, since every statement of every transaction comes through here.
    await new Promise<void>((resolve) => {
      // What was answered before it was lost counts.
      this.rejectRunning = () => resolve();
      const settle = (i: number, outcome: PromiseSettledResult<T>): void => {
        outcomes[i] = outcome;
        if (outcome.status === 'rejected') this.examine(outcome.reason);
        if (--left === 0) resolve();
      };
      if (left === 0) resolve();
      for (const [i, send] of statements.entries()) {
        send(sql, this.mayPrepare).then(
          (value) => settle(i, { status: 'fulfilled', value }),
          (reason: unknown) => settle(i, { status: 'rejected', reason }),
        );
      }
    });
    this.rejectRunning = undefined;
    this.askedAt = undefined;
    return statements.map((_, i) => outcomes[i] ?? { status: 'rejected', reason: this.endReason });
  }

  /** Ends it politely, when nothing is under way. May be called twice. */
  async close(): Promise<void> {
    if (this.endReason !== undefined) return;
    this.endReason = closedByUs();
    this.stopIdling();
    await this.sql?.end({ timeout: 1 });
    this.socket?.destroy();
    this.onEnded(this.endReason);
  }

  /** Ends it at once; the statement under way, if any, is rejected. */
  destroy(): void {
    this.finish(closedByUs());
  }

  /** Ends it at once, since the server does not answer. */
  abandon(): void {
    this.finish(unanswered(this.place, this.silentMs));
  }

  /** @throws why it cannot be used */
  private start(): Sql {
    const { sql, endReason } = this;
    if (endReason !== undefined || sql === undefined) throw endReason ?? closedByUs();
    this.isFresh = false;
    this.askedAt = performance.now();
    return sql;
  }

  private readonly mayPrepare = (text: string): boolean => {
    if (!this.prepare) return false;
    if (this.prepared.has(text)) return true;
    if (this.prepared.size >= MOST_PREPARED) return false;
    this.prepared.add(text);
    return true;
  };

  private examine(error: unknown): void {
    if (!isStatementError(error)) this.finish(asError(error));
    else if (isReadOnly(error)) this.hasRefusedWrites = true;
  }

  private finish(reason: Error): void {
    if (this.endReason !== undefined) return;
    this.endReason = reason;
    this.stopIdling();
    this.socket?.destroy();
    this.rejectRunning?.(reason);
    // Settles what postgres.js still holds, which has been reported already.
    this.sql?.end({ timeout: 0 }).catch(() => undefined);
    this.onLost?.(reason);
    this.onEnded(reason);
  }

  private async openSocket(): Promise<Socket> {
    const { options } = this;
    if (this.endReason !== undefined || this.socket !== undefined) throw closedByServer(this.place);
    const socket = await (options.socket?.(options) ??
      openSocket(this.place, options.connect_timeout * 1000));
    this.socket = socket;
    // It may have been given up meanwhile.
    if (!this.isUsable) socket.destroy();
    return socket;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** An error of PostgreSQL after which the session goes on. */
function isStatementError(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'severity' in error && error.severity === 'ERROR';
}

/** READ ONLY SQL TRANSACTION: what a standby says, and a primary that was told to take no writes. */
function isReadOnly(error: unknown): boolean {
  return (error as { code?: unknown }).code === '25006';
}

function closedByServer(place: Place): Error {
  const message = `The connection to ${nameOf(place)} was closed.`;
  return Object.assign(new Error(message), { code: 'CONNECTION_CLOSED' });
}

function unanswered(place: Place, silentMs: number): Error {
  const seconds = Math.round(silentMs / 1000);
  const message = `${nameOf(place)} has not answered for ${seconds} s, nor does it answer to a new connection.`;
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' });
}

function nameOf({ host, port, path }: Place): string {
  return path ?? `${host}:${port}`;
}

function closedByUs(): Error {
  return Object.assign(new Error('The connection was ended.'), { code: 'CONNECTION_ENDED' });
}
