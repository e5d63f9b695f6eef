import type { Socket } from 'node:net';
import type { StatementCall } from '../transaction-connection.js';
import { loadDriver, type DriverOptions, type Sql } from '../driver.js';
import { ARRAY_TYPES, addArrayTypes, type TypeTables } from './array-types.js';
import { execute, type StatementResult } from './statement.js';
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

/** What became of a statement. */
export type Outcome = PromiseSettledResult<StatementResult[]>;

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
  private readonly expiresAt: number;
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

  constructor(
    private readonly options: ParsedOptions,
    private readonly place: Place,
    private readonly prepare: boolean,
  ) {
    const { max_lifetime: lifetime } = options;
    const lifetimeS = typeof lifetime === 'function' ? lifetime() : lifetime;
    this.expiresAt = lifetimeS ? performance.now() + lifetimeS * 1000 : Infinity;
  }

  get isUsable(): boolean {
    return this.endReason === undefined;
  }

  /** Whether it has lived as long as `max_lifetime` allows. */
  get isExpired(): boolean {
    return performance.now() >= this.expiresAt;
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
   * Runs a text; see {@link execute}. Any failure but an error of the statement itself ends the connection.
   */
  async run(text: string, params: readonly unknown[]): Promise<StatementResult[]> {
    const { sql, endReason } = this;
    if (endReason !== undefined || sql === undefined) throw endReason ?? closedByUs();
    this.isFresh = false;
    try {
      return await new Promise((resolve, reject) => {
        this.rejectRunning = reject;
        execute(sql, text, params, this.prepare).then(resolve, reject);
      });
    } catch (error) {
      if (!isStatementError(error)) this.finish(asError(error));
      throw error;
    } finally {
      this.rejectRunning = undefined;
    }
  }

  /**
   * Sends several statements at once. PostgreSQL skips those behind one that fails, if they are in a transaction.
   *
   * @returns what became of each
   */
  async runAll(statements: readonly StatementCall[]): Promise<Outcome[]> {
    const { sql, endReason } = this;
    if (endReason !== undefined || sql === undefined) throw endReason ?? closedByUs();
    this.isFresh = false;
    const outcomes: (Outcome | undefined)[] = [];
    const all = statements.map(async ({ text, params }, i) => {
      try {
        outcomes[i] = { status: 'fulfilled', value: await execute(sql, text, params, this.prepare) };
      } catch (reason) {
        outcomes[i] = { status: 'rejected', reason };
        if (!isStatementError(reason)) this.finish(asError(reason));
      }
    });
    try {
      const lost = new Promise<never>((_, reject) => {
        this.rejectRunning = reject;
      });
      await Promise.race([Promise.all(all), lost]);
    } catch {
      // What was answered before counts.
    } finally {
      this.rejectRunning = undefined;
    }
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

function closedByServer({ host, port, path }: Place): Error {
  const where = path ?? `${host}:${port}`;
  return Object.assign(new Error(`The connection to ${where} was closed.`), { code: 'CONNECTION_CLOSED' });
}

function closedByUs(): Error {
  return Object.assign(new Error('The connection was ended.'), { code: 'CONNECTION_ENDED' });
}
