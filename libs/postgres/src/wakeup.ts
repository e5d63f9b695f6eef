import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClosedError, InvalidArgumentError, messageOf, runInRootScope } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { AmbientQueryable } from './queryable.js';
import { textArray } from './sql-text.js';
import { assertTopic, packTopics, unpackTopics } from './wakeup-payload.js';
import { WakeupSubscription, type WakeupHandler } from './wakeup-subscription.js';

/** What {@link Wakeup} needs of `Postgres`. */
export interface WakeupDatabase extends AmbientQueryable {
  listen(
    channel: string,
    onNotify: (payload: string) => void,
    onListening?: () => void,
  ): Promise<{ unlisten(): Promise<void> }>;
}

/** How often wake-ups are sent. */
export interface WakeupOptions {
  /** The time between two NOTIFY at the least, in ms; the first one goes at once. Default: 5. */
  minIntervalMs?: number;
}

/** How long a subscriber sleeps without having been woken. */
export interface WakeupOnOptions {
  /** After so long without a call there is one anyway, in ms; up to a quarter earlier. Default: 1,000. */
  pollMs?: number;
}

/** The one channel of all topics. */
const CHANNEL = 'nestbox';
/** What close() grants a last NOTIFY. */
const CLOSE_TIMEOUT_MS = 1_000;

/**
 * Tells other processes that there is something new to read. A wake-up is a hint: it carries nothing but a topic, it
 * may come late, twice or for nothing, and when it is lost, polling makes up for it within `pollMs`.
 *
 * NOTIFY makes commits wait for each other, so it is sent after the commit and off the write path: at most one
 * statement at a time, with all topics that have gathered meanwhile.
 */
export class Wakeup {
  private readonly logger = new Logger('NestboxWakeup');
  private readonly id = randomUUID().slice(0, 8);
  private readonly minIntervalMs: number;
  private readonly subscriptions = new Map<string, Set<WakeupSubscription>>();
  private pending = new Set<string>();
  private flushing: Promise<void> | undefined;
  private lastFlush = -Infinity;
  private failing = false;
  private isListening = false;
  private listening: { unlisten(): Promise<void> } | undefined;
  private closed = false;

  constructor(
    private readonly postgres: WakeupDatabase,
    options: WakeupOptions = {},
  ) {
    this.minIntervalMs = options.minIntervalMs ?? 5;
  }

  /**
   * Wakes all who wait for a topic, in this process and in others: inside an ambient transaction after its commit, or
   * not at all when it is rolled back. Never throws, and returns before anything is sent.
   */
  notify(topic: string): void {
    const transaction = this.postgres.currentTransaction;
    if (transaction === undefined) {
      this.send(topic);
      return;
    }
    try {
      transaction.afterCommit(() => this.send(topic));
    } catch {
      // The transaction is over or doomed, so there is nothing new to tell of.
    }
  }

  /**
   * Calls a function whenever a topic is woken, whenever the LISTEN connection is made (again), and by polling. It is
   * not called right away. Calls never overlap; errors are logged.
   *
   * @returns the subscription: dispose of it to end it; see {@link WakeupSubscription.wakeIn} for timers
   * @throws InvalidArgumentError for a topic that is empty or over 1,024 bytes, and for `pollMs` of 0 or less; ClosedError
   */
  on(topic: string, handler: WakeupHandler, options: WakeupOnOptions = {}): WakeupSubscription {
    assertTopic(topic);
    const { pollMs = 1_000 } = options;
    if (!(pollMs > 0)) throw new InvalidArgumentError('pollMs', `${pollMs} must be more than 0.`);
    if (this.closed) throw new ClosedError('Wakeup');
    const subscription = new WakeupSubscription(topic, handler, pollMs, (ended) => this.remove(topic, ended));
    const others = this.subscriptions.get(topic);
    if (others === undefined) this.subscriptions.set(topic, new Set([subscription]));
    else others.add(subscription);
    if (!this.isListening) void runInRootScope(() => this.listen());
    return subscription;
  }

  /** Ends all subscriptions, and sends what is left to send. May be called twice. */
  async close(): Promise<void> {
    this.closed = true;
    for (const subscriptions of this.subscriptions.values()) {
      for (const subscription of subscriptions) subscription[Symbol.dispose]();
    }
    const timeout = new AbortController();
    const done = Promise.all([this.flushing, this.listening?.unlisten()]);
    const late = sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false, signal: timeout.signal });
    await Promise.race([done, late]).catch(() => undefined);
    timeout.abort();
    late.catch(() => undefined);
  }

  private remove(topic: string, subscription: WakeupSubscription): void {
    const subscriptions = this.subscriptions.get(topic);
    if (subscriptions?.delete(subscription) === true && subscriptions.size === 0)
      this.subscriptions.delete(topic);
  }

  /** Never rejects: without LISTEN there is still polling. */
  private async listen(): Promise<void> {
    this.isListening = true;
    try {
      this.listening = await this.postgres.listen(
        CHANNEL,
        (payload) => this.receive(payload),
        () => this.wakeAll(),
      );
      if (this.closed) await this.listening.unlisten();
    } catch (error) {
      this.isListening = false;
      if (!this.closed) this.logger.error(`LISTEN failed; polling only: ${messageOf(error)}`, error);
    }
  }

  private receive(payload: string): void {
    const message = unpackTopics(payload);
    if (message === undefined) this.wakeAll();
    // Who sent it has been woken already.
    else if (message.sender !== this.id) for (const topic of message.topics) this.wake(topic);
  }

  private wake(topic: string): void {
    for (const subscription of this.subscriptions.get(topic) ?? []) subscription.wake();
  }

  private wakeAll(): void {
    for (const topic of this.subscriptions.keys()) this.wake(topic);
  }

  private send(topic: string): void {
    this.wake(topic);
    if (this.closed) return;
    this.pending.add(topic);
    this.flushing ??= runInRootScope(() => this.flush());
  }

  /** Never rejects. */
  private async flush(): Promise<void> {
    while (this.pending.size > 0) {
      const waitMs = Math.ceil(this.lastFlush + this.minIntervalMs - performance.now());
      // Even without a wait, what is notified in the same turn goes together.
      await (waitMs > 0 ? sleep(waitMs, undefined, { ref: false }) : undefined);
      this.lastFlush = performance.now();
      const topics = this.pending;
      this.pending = new Set();
      await this.notifyOthers(topics);
    }
    this.flushing = undefined;
  }

  private async notifyOthers(topics: Set<string>): Promise<void> {
    const { payloads, tooLong } = packTopics(this.id, topics);
    if (tooLong.length > 0)
      this.logger.error(`A topic is too long for NOTIFY: ${tooLong[0]!.slice(0, 100)}…`);
    if (payloads.length === 0) return;
    try {
      await this.postgres.query(
        `select pg_catalog.pg_notify('${CHANNEL}', payload) from unnest($1::text[]) as payload`,
        [textArray(payloads)],
      );
      this.failing = false;
    } catch (error) {
      if (!this.failing) this.logger.warn(`NOTIFY failed; others find out by polling: ${messageOf(error)}`);
      this.failing = true;
    }
  }
}
