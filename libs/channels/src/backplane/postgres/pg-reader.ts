import { messageOf } from '@nestbox/core';
import type { Postgres, WakeupSubscription } from '@nestbox/postgres';
import { Logger } from '@nestjs/common';
import type { BackplaneReceiver } from '../backplane.js';
import type { Joins } from '../joins.js';
import type { PgStream } from './pg-stream.js';

const BATCH = 500;

export interface PgReaderOptions {
  postgres: Postgres;
  stream: PgStream;
  joins: Joins;
  nodeId: string;
  receiver: BackplaneReceiver;
  wakeupTopic: string;
  pollMs: number;
}

/** Reads the stream from where it left off, whenever it is woken, and else every so often. */
export class PgReader {
  private readonly logger = new Logger('PgBackplane');
  private subscription: WakeupSubscription | undefined;
  private reading: Promise<void> | undefined;
  private page: { promise: Promise<unknown>; since: number } | undefined;
  private cursor = 0n;
  /** Why reading fails, and since when; undefined while it works. */
  failure: { since: Date; reason: string } | undefined;
  private isClosed = false;

  constructor(private readonly options: PgReaderOptions) {}

  async open(): Promise<void> {
    const { stream, postgres, wakeupTopic, pollMs } = this.options;
    this.cursor = await stream.end();
    this.subscription = postgres.wakeup.on(wakeupTopic, () => this.read(), { pollMs });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.subscription?.[Symbol.dispose]();
    await this.reading?.catch(() => undefined);
  }

  /** A read under way may not know of a topic that was joined just now; undefined when there is none. */
  settled(): Promise<void> | undefined {
    return this.page?.promise.then(
      () => undefined,
      () => undefined,
    );
  }

  /** For how long the database has not answered, in ms. */
  get waitingMs(): number {
    return this.page === undefined ? 0 : performance.now() - this.page.since;
  }

  /** Never rejects; a failure is logged once, and the next poll tries again. */
  private async read(): Promise<void> {
    this.reading = this.readAll();
    try {
      await this.reading;
      if (this.failure === undefined) return;
      this.failure = undefined;
      this.logger.log('The stream of messages can be read again.');
      this.options.receiver.onRecovered();
    } catch (error) {
      if (this.isClosed) return;
      if (this.failure === undefined) {
        this.logger.warn(`The stream of messages cannot be read; trying again: ${messageOf(error)}`);
      }
      this.failure = { since: this.failure?.since ?? new Date(), reason: messageOf(error) };
    } finally {
      this.reading = undefined;
    }
  }

  private async readAll(): Promise<void> {
    const { stream, joins, nodeId } = this.options;
    for (let more = true; more && !this.isClosed;) {
      const topics = joins.wantsAll ? undefined : joins.names;
      const promise = stream.follow(this.cursor, nodeId, topics, BATCH);
      this.page = { promise, since: performance.now() };
      const { messages, reached, trimmed, isFull } = await promise.finally(() => (this.page = undefined));
      if (trimmed > this.cursor) await this.tellGaps();
      this.cursor = reached;
      for (const message of messages) this.hand(message);
      more = isFull;
    }
  }

  private hand(message: Parameters<BackplaneReceiver['onMessage']>[0]): void {
    if (this.isClosed || !this.options.joins.wants(message.topic)) return;
    try {
      this.options.receiver.onMessage(message);
    } catch (error) {
      this.logger.error(`A message of topic "${message.topic}" was not taken: ${messageOf(error)}`);
    }
  }

  /** This instance was away for longer than messages are kept. */
  private async tellGaps(): Promise<void> {
    const { stream, joins, receiver } = this.options;
    const topics = joins.wantsAll ? undefined : joins.names;
    for (const { topic, head } of await stream.gaps(topics, this.cursor)) receiver.onGap(topic, head);
    this.failure ??= { since: new Date(), reason: 'messages were deleted before they were read' };
  }
}
