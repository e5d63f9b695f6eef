import { messageOf, TimeoutError } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { SingleClient } from './driver.js';
import { RedisUnavailableError } from './redis.errors.js';
import { withTimeout } from './with-timeout.js';

/** What is called with each message of a channel. */
export type MessageHandler = (message: string, channel: string) => void | Promise<void>;
/** What is called with each message of a channel, as the bytes that were sent. */
export type BinaryMessageHandler = (message: Buffer, channel: string) => void | Promise<void>;

/** How `Redis.subscribe` subscribes. */
export interface SubscribeOptions {
  /**
   * Sharded pub/sub (Redis 7), for messages sent by SPUBLISH. On a cluster they stay within the shard that has the
   * channel's slot, so there is a connection to each master that has a channel of ours; it moves with the slot.
   * Default: false.
   */
  sharded?: boolean;
  /** Called whenever Redis has confirmed (again): the moment to look what was missed. */
  onSubscribed?: () => void | Promise<void>;
  /** Called when messages do not come any more for now. */
  onLost?: () => void;
}

export interface TextSubscribeOptions extends SubscribeOptions {
  binary?: false;
}

export interface BinarySubscribeOptions extends SubscribeOptions {
  /** Messages come as they were sent, as a Buffer. */
  binary: true;
}

/** What `Redis.subscribe` resolves to. */
export interface RedisSubscription {
  /** Whether messages come at the moment, as far as it is known: a connection that hangs is noticed in 4 s. */
  readonly isLive: boolean;
  /** Ends this one subscription. May be called twice. */
  unsubscribe(): Promise<void>;
}

/** What a first confirmation may take beyond the time for connecting. */
const CONFIRM_MS = 500;

/** One subscription to one channel. */
export class Subscription {
  private readonly logger = new Logger('NestboxRedis');
  private readonly confirmed: Promise<void>;
  private confirm: () => void = () => {};
  /** The connection whose confirmation was passed on. */
  private announced: SingleClient | undefined;

  constructor(
    readonly channel: string,
    private readonly onMessage: (message: Buffer, channel: string) => void | Promise<void>,
    private readonly options: SubscribeOptions,
  ) {
    this.confirmed = new Promise((resolve) => {
      this.confirm = resolve;
    });
  }

  get isLive(): boolean {
    return this.announced !== undefined;
  }

  /** Passes a confirmation on, once for each connection. */
  announce(connection: SingleClient): void {
    if (this.announced === connection) return;
    this.announced = connection;
    this.confirm();
    const { onSubscribed } = this.options;
    if (onSubscribed !== undefined) this.call(onSubscribed);
  }

  /** Its connection is gone, or does not have its channel any more. */
  lose(): void {
    if (this.announced === undefined) return;
    this.announced = undefined;
    const { onLost } = this.options;
    if (onLost !== undefined) this.call(onLost);
  }

  deliver(message: Buffer): void {
    this.call(() => this.onMessage(message, this.channel));
  }

  /** @throws RedisUnavailableError when Redis does not confirm in time */
  async whenConfirmed(server: string, timeoutMs: number, lastError: () => unknown): Promise<void> {
    try {
      await withTimeout('SUBSCRIBE', timeoutMs + CONFIRM_MS, this.confirmed);
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      const cause = lastError();
      const reason = cause === undefined ? '' : `: ${messageOf(cause)}`;
      throw new RedisUnavailableError(server, `cannot be subscribed to${reason}`, false, { cause });
    }
  }

  private call(handler: () => void | Promise<void>): void {
    try {
      const result = handler();
      if (result !== undefined) result.catch((error: unknown) => this.failed(error));
    } catch (error) {
      this.failed(error);
    }
  }

  private failed(error: unknown): void {
    const trace = error instanceof Error ? error.stack : undefined;
    this.logger.error(`A handler of channel "${this.channel}" failed: ${messageOf(error)}`, trace);
  }
}
