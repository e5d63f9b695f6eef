import { connect, type Socket } from 'node:net';
import { TimeoutError } from '@nestbox/core';
import type { DriverOptions, Sql } from './driver.js';
import { quoteIdentifier } from './sql-text.js';

/**
 * Makes a postgres.js client, without connecting, for the database that is listened to. `overrides` take precedence
 * over its other options.
 */
export type CreateListenClient = (overrides: DriverOptions) => Promise<Sql>;

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
 * One connection for LISTEN, used until it fails and then thrown away.
 *
 * postgres.js would connect again by itself, in ways that do not suit LISTEN: silently without the channels, or
 * without end and delay when a server accepts connections and closes them. So it gets exactly one socket from us, and
 * no second. Having the socket in hand also means that a dead connection can be dropped at once: closing it politely
 * waits for an answer of the peer that is no longer there.
 */
export class ListenConnection {
  /** The channels that this connection listens to. */
  readonly channels = new Set<string>();
  /** How many hosts are configured; known once it is opened, or could not be. */
  hosts = 1;
  /** Resolves when the connection has ended: with the reason, or undefined after {@link close}. Never rejects. */
  readonly ended: Promise<Error | undefined>;
  private end!: (reason: Error | undefined) => void;
  private endReason: Error | undefined;
  private isOpen = false;
  private isClosing = false;
  private readonly running = new Set<(reason: Error) => void>();
  private sql: Sql | undefined;
  private socket: Socket | undefined;
  private probeTimer: NodeJS.Timeout | undefined;

  constructor(
    private readonly createClient: CreateListenClient,
    private readonly onNotify: (channel: string, payload: string) => void,
  ) {
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  /** Connects to one of the configured hosts: to the next one with each attempt. */
  async open(attempt: number, timeoutMs: number): Promise<void> {
    const parsed: object = (await this.createClient({})).options;
    const { host: hosts, port: ports, path, socket } = parsed as ConnectionOptions;
    this.hosts = hosts.length;
    const index = attempt % hosts.length;
    const host = hosts[index]!;
    const port = ports[index] ?? 5432;
    const overrides: object = {
      host: [host],
      port: [port],
      max: 1,
      fetch_types: false,
      prepare: false,
      idle_timeout: 0,
      max_lifetime: null,
      onnotify: this.onNotify,
      onclose: () => this.fail(new Error('the server closed it')),
      socket: (options: unknown) => this.openSocket(host, port, path, socket && (() => socket(options))),
    };
    const sql = await this.createClient(overrides as DriverOptions);
    if (this.endReason === undefined) this.sql = sql;
    await this.run('select 1', timeoutMs);
    this.isOpen = true;
  }

  async listen(channels: readonly string[], timeoutMs: number): Promise<void> {
    await this.run(channels.map((channel) => `listen ${quoteIdentifier(channel)}`).join('; '), timeoutMs);
    for (const channel of channels) this.channels.add(channel);
  }

  async unlisten(channels: readonly string[], timeoutMs: number): Promise<void> {
    for (const channel of channels) this.channels.delete(channel);
    await this.run(channels.map((channel) => `unlisten ${quoteIdentifier(channel)}`).join('; '), timeoutMs);
  }

  /** Asks the server for a sign of life again and again: a peer that vanished without a word is found that way. */
  startProbing(everyMs: number, timeoutMs: number): void {
    this.probeTimer = setInterval(() => {
      // A failure ends the connection, which is all that has to happen.
      this.run('select 1', timeoutMs).catch(() => undefined);
    }, everyMs).unref();
  }

  /** Ends the connection at once. The first reason counts. */
  fail(reason: Error): void {
    if (this.endReason !== undefined) return;
    this.endReason = reason;
    clearInterval(this.probeTimer);
    this.socket?.destroy();
    // What it still has to say about a connection that we gave up is of no interest.
    this.sql?.end({ timeout: 0 }).catch(() => undefined);
    for (const reject of this.running) reject(reason);
    this.end(this.isClosing ? undefined : reason);
  }

  /** Ends the connection politely. May be called twice. */
  async close(): Promise<void> {
    this.isClosing = true;
    if (this.isOpen && this.endReason === undefined) {
      // However that goes, the socket is destroyed below.
      await this.sql?.end({ timeout: 1 }).catch(() => undefined);
    }
    this.fail(new Error('it was closed'));
  }

  /** Any failure, also of a statement, ends the connection: a new one starts from a known state. */
  private async run(text: string, timeoutMs: number): Promise<void> {
    const { sql, endReason } = this;
    if (endReason !== undefined || sql === undefined) throw endReason ?? new Error('it is not open');
    let timer: NodeJS.Timeout | undefined;
    let rejectRunning: ((reason: Error) => void) | undefined;
    try {
      await new Promise<unknown>((resolve, reject) => {
        rejectRunning = reject;
        this.running.add(reject);
        const giveUp = (): void => reject(new TimeoutError('PostgreSQL', timeoutMs));
        // When this process was held up, the answer may be waiting to be read: so only after the next turn of I/O.
        timer = setTimeout(() => setImmediate(() => setImmediate(giveUp)), timeoutMs);
        sql.unsafe(text).then(resolve, reject);
      });
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error));
      this.fail(reason);
      throw reason;
    } finally {
      clearTimeout(timer);
      if (rejectRunning !== undefined) this.running.delete(rejectRunning);
    }
  }

  private async openSocket(
    host: string,
    port: number,
    path: string | false | undefined,
    own: (() => Socket | Promise<Socket>) | undefined,
  ): Promise<Socket> {
    if (this.endReason !== undefined || this.socket !== undefined) throw new Error('the server closed it');
    if (own !== undefined) {
      this.socket = await own();
      // The connection may have been given up while the user's function was at work.
      if (this.endReason !== undefined) this.socket.destroy();
      return this.socket;
    }
    const socket = path ? connect({ path }) : connect({ host, port });
    this.socket = socket;
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('it was closed')));
    });
    // postgres.js reads the name that a certificate has to have from here.
    return Object.assign(socket, { host, port });
  }
}
