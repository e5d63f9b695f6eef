import { ClosedError, TimeoutError, backoffMs, messageOf, runInRootScope } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SingleClient } from './driver.js';
import { RedisUnavailableError } from './redis.errors.js';
import { withTimeout } from './with-timeout.js';

export type MessageHandler = (message: string, channel: string) => void | Promise<void>;

/** What `Redis.subscribe` resolves to. */
export interface RedisSubscription {
  /** Ends this one subscription. May be called twice. */
  unsubscribe(): Promise<void>;
}

interface Subscription {
  channel: string;
  onMessage: MessageHandler;
  onSubscribed: (() => void | Promise<void>) | undefined;
  /** The connection whose confirmation was passed on. */
  announced: SingleClient | undefined;
  confirm(): void;
}

/** How often the connection is asked for a sign of life; one that vanished without a trace sends no message. */
const PROBE_MS = 5000;
/** A connection that lived for less was no success; trying again at once would be a busy loop. */
const STABLE_AFTER_MS = 5000;
/** What a first confirmation may take beyond the time for connecting. */
const CONFIRM_MS = 500;

/**
 * Subscribes to any number of channels on one connection, as long as there are any. It connects again for ever, with
 * growing pauses, when the connection is lost or does not answer.
 */
export class Subscriber {
  private readonly logger = new Logger('NestboxRedis');
  private readonly channels = new Map<string, Set<Subscription>>();
  private readonly closing = new AbortController();
  /** The connection that is made or being made. */
  private candidate: SingleClient | undefined;
  private connection: SingleClient | undefined;
  /** Whether the last connection was given up because there were no channels. */
  private isReleased = false;
  private confirmed = new Set<string>();
  private running: Promise<void> | undefined;
  private syncing: Promise<void> = Promise.resolve();
  private lastError: unknown;

  /** @param connect gives a new connection, not yet made */
  constructor(
    private readonly server: string,
    private readonly unavailableAfterMs: number,
    private readonly connect: () => Promise<SingleClient>,
  ) {}

  async subscribe(
    channel: string,
    onMessage: MessageHandler,
    onSubscribed: (() => void | Promise<void>) | undefined,
  ): Promise<RedisSubscription> {
    if (this.closing.signal.aborted) throw new ClosedError(`Redis (${this.server})`);
    let confirm = (): void => {};
    const isConfirmed = new Promise<void>((resolve) => {
      confirm = resolve;
    });
    const subscription: Subscription = { channel, onMessage, onSubscribed, announced: undefined, confirm };
    this.add(subscription);
    try {
      await withTimeout('SUBSCRIBE', this.unavailableAfterMs + CONFIRM_MS, isConfirmed);
    } catch (error) {
      this.remove(subscription);
      if (!(error instanceof TimeoutError)) throw error;
      const reason = this.lastError === undefined ? '' : `: ${messageOf(this.lastError)}`;
      throw new RedisUnavailableError(this.server, `cannot be subscribed to${reason}`, false, {
        cause: this.lastError,
      });
    }
    return {
      unsubscribe: () => {
        this.remove(subscription);
        return this.syncing;
      },
    };
  }

  /** Ends all subscriptions. */
  async close(): Promise<void> {
    this.closing.abort();
    this.channels.clear();
    this.candidate?.disconnect();
    await this.running;
  }

  private add(subscription: Subscription): void {
    const others = this.channels.get(subscription.channel);
    if (others === undefined) this.channels.set(subscription.channel, new Set([subscription]));
    else others.add(subscription);
    this.running ??= runInRootScope(() => this.run());
    void this.sync();
  }

  private remove(subscription: Subscription): void {
    const others = this.channels.get(subscription.channel);
    if (others?.delete(subscription) !== true) return;
    if (others.size === 0) this.channels.delete(subscription.channel);
    void this.sync();
  }

  /** Keeps a connection as long as there are channels. Never rejects. */
  private async run(): Promise<void> {
    let attempt = 0;
    let lost = false;
    while (this.channels.size > 0) {
      const connection = await this.open();
      if (connection !== undefined) {
        const openedAt = performance.now();
        if (lost) this.logger.log(`Subscriptions to Redis (${this.server}) are connected again.`);
        lost = false;
        await ended(connection);
        if (performance.now() - openedAt > STABLE_AFTER_MS) attempt = 0;
      }
      this.connection = undefined;
      this.candidate = undefined;
      if (this.channels.size === 0 || this.isReleased) continue;
      if (!lost) {
        lost = true;
        const reason = this.lastError === undefined ? '' : `: ${messageOf(this.lastError)}`;
        this.logger.warn(
          `Subscriptions to Redis (${this.server}) lost their connection${reason}. Trying again until it is back.`,
        );
      }
      await this.pause(++attempt);
    }
    this.running = undefined;
  }

  /** A connection on which all channels are confirmed, or undefined, with the reason in `lastError`. Never rejects. */
  private async open(): Promise<SingleClient | undefined> {
    let reason: unknown;
    this.isReleased = false;
    try {
      const connection = await this.connect();
      this.candidate = connection;
      connection.on('error', (error: unknown) => {
        reason = error;
      });
      connection.on('message', (channel: string, message: string) => this.dispatch(channel, message));
      await connection.connect();
      this.connection = connection;
      this.confirmed = new Set();
      this.lastError = undefined;
      await this.sync();
      // Given up when a subscription was refused, or all were ended meanwhile.
      if (this.connection === connection) return connection;
    } catch (error) {
      // ioredis rejects with nothing but "Connection is closed."
      this.lastError = reason ?? error;
      this.candidate?.disconnect();
    }
    return undefined;
  }

  /** Brings what Redis sends us in line with what is wanted; one after the other. Never rejects. */
  private sync(): Promise<void> {
    this.syncing = this.syncing.then(async () => {
      const { connection } = this;
      if (connection === undefined) return;
      try {
        await this.adjust(connection);
      } catch (error) {
        // A connection that does not take orders is replaced.
        this.lastError = error;
        this.drop(connection);
      }
    });
    return this.syncing;
  }

  private drop(connection: SingleClient): void {
    if (this.connection === connection) this.connection = undefined;
    connection.disconnect();
  }

  private async adjust(connection: SingleClient): Promise<void> {
    const missing = [...this.channels.keys()].filter((channel) => !this.confirmed.has(channel));
    const unwanted = [...this.confirmed].filter((channel) => !this.channels.has(channel));
    if (this.channels.size === 0) {
      this.isReleased = true;
      this.drop(connection);
      return;
    }
    if (missing.length > 0) await connection.subscribe(...missing);
    if (unwanted.length > 0) await connection.unsubscribe(...unwanted);
    for (const channel of missing) this.confirmed.add(channel);
    for (const channel of unwanted) this.confirmed.delete(channel);
    for (const channel of this.confirmed) {
      for (const subscription of this.channels.get(channel) ?? []) this.announce(subscription, connection);
    }
  }

  private announce(subscription: Subscription, connection: SingleClient): void {
    if (subscription.announced === connection) return;
    subscription.announced = connection;
    subscription.confirm();
    const { onSubscribed, channel } = subscription;
    if (onSubscribed !== undefined) this.call(channel, onSubscribed);
  }

  private dispatch(channel: string, message: string): void {
    for (const { onMessage } of this.channels.get(channel) ?? []) {
      this.call(channel, () => onMessage(message, channel));
    }
  }

  private call(channel: string, handler: () => void | Promise<void>): void {
    const failed = (error: unknown): void => {
      const trace = error instanceof Error ? error.stack : undefined;
      this.logger.error(`A handler of channel "${channel}" failed: ${messageOf(error)}`, trace);
    };
    try {
      Promise.resolve(handler()).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  private async pause(attempt: number): Promise<void> {
    try {
      await sleep(backoffMs(attempt, { baseMs: 50, maxMs: 1000 }), undefined, {
        signal: this.closing.signal,
      });
    } catch {
      // Closed meanwhile.
    }
  }
}

/** Resolves when the connection is over; one that gives no sign of life is ended. */
async function ended(connection: SingleClient): Promise<void> {
  if (connection.status === 'end') return;
  const probe = setInterval(() => {
    connection.ping().catch(() => connection.disconnect());
  }, PROBE_MS);
  probe.unref();
  try {
    await new Promise<void>((resolve) => connection.once('end', () => resolve()));
  } finally {
    clearInterval(probe);
  }
}
