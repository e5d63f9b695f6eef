import { ClosedError, backoffMs, messageOf, runInRootScope } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SingleClient } from './driver.js';
import type { PubSubKind } from './pub-sub-kind.js';
import type { RedisSubscription, Subscription } from './subscription.js';

/** How often the connection is asked for a sign of life; one that vanished without a trace sends no message. */
const PROBE_MS = 2000;
/** A connection that lived for less was no success; trying again at once would be a busy loop. */
const STABLE_AFTER_MS = 5000;

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
  private isSubscribing = false;
  /** How often ioredis said that a node refused or took back a subscription, since the last ones were asked for. */
  private takenBackCount = 0;

  /**
   * @param connect gives a new connection, not yet made
   * @param onTrouble called when it cannot connect, or does not get all the channels that it should
   */
  constructor(
    private readonly server: string,
    private readonly kind: PubSubKind,
    private readonly unavailableAfterMs: number,
    private readonly connect: () => Promise<SingleClient>,
    private readonly onTrouble: (reason: unknown) => void = () => {},
  ) {}

  /** @throws RedisUnavailableError when it is not confirmed in time */
  async subscribe(subscription: Subscription): Promise<RedisSubscription> {
    if (this.closing.signal.aborted) throw new ClosedError(`Redis (${this.server})`);
    this.add(subscription);
    try {
      await subscription.whenConfirmed(this.server, this.unavailableAfterMs, () => this.lastError);
    } catch (error) {
      void this.remove(subscription);
      throw error;
    }
    return {
      get isLive() {
        return subscription.isLive;
      },
      unsubscribe: () => this.remove(subscription),
    };
  }

  add(subscription: Subscription): void {
    const others = this.channels.get(subscription.channel);
    if (others === undefined) this.channels.set(subscription.channel, new Set([subscription]));
    else others.add(subscription);
    this.running ??= runInRootScope(() => this.run());
    void this.sync();
  }

  /** Resolves when Redis has confirmed. Never rejects. */
  remove(subscription: Subscription): Promise<void> {
    const others = this.channels.get(subscription.channel);
    if (others?.delete(subscription) === true) {
      subscription.lose();
      if (others.size === 0) this.channels.delete(subscription.channel);
      void this.sync();
    }
    return this.syncing;
  }

  /** Ends all subscriptions. */
  async close(): Promise<void> {
    this.closing.abort();
    this.loseAll();
    this.channels.clear();
    this.candidate?.disconnect();
    await this.running;
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
      this.loseAll();
      if (this.channels.size === 0 || this.isReleased) continue;
      this.onTrouble(this.lastError);
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
        // ioredis 5 says so when a node takes a subscription back, since no command asked for it.
        if (messageOf(error).startsWith('Command queue state error')) this.takenBack(connection);
      });
      connection.on('moved', () => this.takenBack(connection));
      connection.on(this.kind.event, (channel: Buffer, message: Buffer) => {
        for (const one of this.channels.get(channel.toString()) ?? []) one.deliver(message);
      });
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
  sync(): Promise<void> {
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
    if (this.connection === connection) {
      this.connection = undefined;
      this.loseAll();
    }
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
    if (missing.length > 0) await this.subscribeTo(connection, missing);
    if (unwanted.length > 0) await this.kind.unsubscribe(connection, unwanted);
    for (const channel of unwanted) this.confirmed.delete(channel);
    for (const channel of this.confirmed) {
      for (const subscription of this.channels.get(channel) ?? []) subscription.announce(connection);
    }
  }

  private async subscribeTo(connection: SingleClient, channels: string[]): Promise<void> {
    this.takenBackCount = 0;
    this.isSubscribing = true;
    try {
      const refused = await this.kind.subscribe(connection, channels);
      const isRefused = new Set(refused.map(({ channel }) => channel));
      for (const channel of channels) if (!isRefused.has(channel)) this.confirmed.add(channel);
      if (refused.length > 0) {
        this.lastError = refused[0]?.reason;
        this.onTrouble(this.lastError);
      }
      const moved = refused.filter(({ reason }) => reason.message.startsWith('MOVED')).length;
      // ioredis says "moved" of a refused subscription too.
      if (this.takenBackCount > moved) this.doubt();
    } finally {
      this.isSubscribing = false;
    }
  }

  /** A node has taken a subscription back, since the slot has moved. It is not known which one. */
  private takenBack(connection: SingleClient): void {
    if (this.connection !== connection) return;
    this.takenBackCount++;
    if (!this.isSubscribing) this.doubt();
  }

  /** Asks for all channels again; those that the node still serves are confirmed at once. */
  private doubt(): void {
    this.confirmed.clear();
    this.loseAll();
    void this.sync();
  }

  private loseAll(): void {
    for (const subscriptions of this.channels.values()) for (const one of subscriptions) one.lose();
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
