import { setTimeout as sleep } from 'node:timers/promises';
import { ClosedError, assertIdentifier, backoffMs, messageOf, runInRootScope } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { ListenConnection, type CreateListenClient } from './listen-connection.js';

/** How a connection that is dead is found. */
export interface ListenerOptions {
  /** How often the connection is asked for a sign of life, in ms. Default: 15,000. */
  probeMs?: number;
  /** How long it has for that, and for connecting, in ms. Default: 5,000. */
  timeoutMs?: number;
  /** The longest pause between two tries to connect, in ms. Default: 5,000. */
  maxBackoffMs?: number;
}

/** Whether notifications arrive, and since when. */
export interface ListenerState {
  /** `idle` while nobody listens. */
  status: 'idle' | 'connected' | 'reconnecting';
  since: Date;
  /** Why it had to connect again. */
  reason?: string;
}

/** What {@link Listener.listen} resolves to. */
export interface Listening {
  /** Ends this one subscription. May be called twice. */
  unlisten(): Promise<void>;
}

interface Subscription {
  onNotify(payload: string): void;
  onListening: (() => void) | undefined;
  /** Settle the call of `listen`. */
  resolve(): void;
  reject(error: unknown): void;
  /** The connection of whose LISTEN it was told. */
  announced: ListenConnection | undefined;
}

/** A connection that lived for less was no success; trying again at once would be a busy loop. */
const STABLE_AFTER_MS = 5_000;

/**
 * Listens to any number of channels on one connection, as long as there are any. It connects again for ever, with
 * growing pauses, when the connection is lost or does not answer. What was sent meanwhile is lost, so `onListening`
 * is the moment to read the tables.
 */
export class Listener {
  private readonly logger = new Logger('NestboxListener');
  private readonly channels = new Map<string, Set<Subscription>>();
  private readonly closing = new AbortController();
  private readonly probeMs: number;
  private readonly timeoutMs: number;
  private readonly maxBackoffMs: number;
  private current: ListenerState = { status: 'idle', since: new Date() };
  private connection: ListenConnection | undefined;
  private isOpen = false;
  private running: Promise<void> | undefined;
  private syncing: Promise<void> = Promise.resolve();

  constructor(
    private readonly createClient: CreateListenClient,
    options: ListenerOptions = {},
  ) {
    this.probeMs = options.probeMs ?? 15_000;
    this.timeoutMs = options.timeoutMs ?? 5_000;
    this.maxBackoffMs = options.maxBackoffMs ?? 5_000;
  }

  get state(): ListenerState {
    return this.current;
  }

  /**
   * Resolves when the channel is being listened to; it waits for the server if it has to. Errors in the callbacks are
   * caught and logged.
   *
   * @param onListening is called whenever listening begins: the first time, and after each reconnect
   * @throws InvalidArgumentError for a channel that is no identifier; ClosedError when closed before it listened
   */
  async listen(
    channel: string,
    onNotify: (payload: string) => void,
    onListening?: () => void,
  ): Promise<Listening> {
    assertIdentifier(channel, 'channel');
    if (this.closing.signal.aborted) throw new ClosedError('The listener');
    return new Promise<Listening>((resolve, reject) => {
      const subscription: Subscription = {
        onNotify,
        onListening,
        resolve: () => resolve({ unlisten: () => this.unlisten(channel, subscription) }),
        reject,
        announced: undefined,
      };
      const subscriptions = this.channels.get(channel);
      if (subscriptions === undefined) this.channels.set(channel, new Set([subscription]));
      else subscriptions.add(subscription);
      runInRootScope(() => this.wake());
    });
  }

  /** Ends the connection and all that listens. May be called twice. */
  async close(): Promise<void> {
    this.closing.abort();
    const error = new ClosedError('The listener');
    for (const subscriptions of this.channels.values()) {
      for (const subscription of subscriptions) subscription.reject(error);
    }
    this.channels.clear();
    await this.connection?.close();
    await this.running;
  }

  private async unlisten(channel: string, subscription: Subscription): Promise<void> {
    const subscriptions = this.channels.get(channel);
    if (subscriptions?.delete(subscription) !== true || subscriptions.size > 0) return;
    this.channels.delete(channel);
    runInRootScope(() => this.wake());
    await this.syncing;
  }

  private wake(): void {
    if (this.connection !== undefined && this.isOpen) this.sync(this.connection);
    else this.running ??= this.run();
  }

  /** Keeps a connection while there are channels. Never rejects. */
  private async run(): Promise<void> {
    let attempt = 0;
    let failures = 0;
    this.current = { status: 'reconnecting', since: new Date() };
    while (this.channels.size > 0) {
      const connection = new ListenConnection(this.createClient, (channel, payload) =>
        this.dispatch(channel, payload),
      );
      this.connection = connection;
      const start = performance.now();
      try {
        await connection.open(attempt++, this.timeoutMs);
        this.isOpen = true;
        connection.startProbing(this.probeMs, this.timeoutMs);
        this.sync(connection);
      } catch (error) {
        connection.fail(error instanceof Error ? error : new Error(String(error)));
      }
      const reason = await connection.ended;
      const wasOpen = this.isOpen;
      this.isOpen = false;
      this.connection = undefined;
      if (reason === undefined) continue;
      const { hosts } = connection;
      failures = performance.now() - start > STABLE_AFTER_MS ? 1 : failures + 1;
      // That a standby comes before the primary is no news.
      if (wasOpen || failures >= hosts) this.becomeReconnecting(reason);
      // Every host has its turn before the pauses begin to grow.
      await this.pause(backoffMs(Math.ceil(failures / hosts), { baseMs: 100, maxMs: this.maxBackoffMs }));
    }
    this.running = undefined;
    this.current = { status: 'idle', since: new Date() };
  }

  /** Makes the connection listen to what is wanted, and tells those who do not know yet. */
  private sync(connection: ListenConnection): void {
    // A failure ends the connection, and `run` goes on from there.
    this.syncing = this.syncing.then(() => this.syncNow(connection)).catch(() => undefined);
  }

  private async syncNow(connection: ListenConnection): Promise<void> {
    if (connection !== this.connection) return;
    if (this.channels.size === 0) return connection.close();
    const missing = [...this.channels.keys()].filter((channel) => !connection.channels.has(channel));
    if (missing.length > 0) await connection.listen(missing, this.timeoutMs);
    const unwanted = [...connection.channels].filter((channel) => !this.channels.has(channel));
    if (unwanted.length > 0) await connection.unlisten(unwanted, this.timeoutMs);
    this.becomeConnected();
    for (const channel of connection.channels) this.announce(channel, connection);
  }

  private announce(channel: string, connection: ListenConnection): void {
    for (const subscription of this.channels.get(channel) ?? []) {
      if (subscription.announced === connection) continue;
      subscription.announced = connection;
      this.guard(channel, () => subscription.onListening?.());
      subscription.resolve();
    }
  }

  private dispatch(channel: string, payload: string): void {
    for (const subscription of this.channels.get(channel) ?? []) {
      this.guard(channel, () => subscription.onNotify(payload));
    }
  }

  private guard(channel: string, callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.logger.error(`A listener of channel "${channel}" failed: ${messageOf(error)}`, error);
    }
  }

  private becomeConnected(): void {
    const { status, reason, since } = this.current;
    if (status === 'connected') return;
    this.current = { status: 'connected', since: new Date() };
    if (reason === undefined) return;
    this.logger.log(`The LISTEN connection is back after ${Date.now() - since.getTime()} ms.`);
  }

  private becomeReconnecting(error: Error): void {
    const reason = messageOf(error);
    const isNews = this.current.status !== 'reconnecting' || this.current.reason === undefined;
    this.current = { status: 'reconnecting', since: isNews ? new Date() : this.current.since, reason };
    if (isNews && !this.closing.signal.aborted) {
      this.logger.warn(`The LISTEN connection is down (${reason}); connecting again until it is back.`);
    }
  }

  private async pause(ms: number): Promise<void> {
    // Rejects only when closing.
    await sleep(ms, undefined, { ref: false, signal: this.closing.signal }).catch(() => undefined);
  }
}
