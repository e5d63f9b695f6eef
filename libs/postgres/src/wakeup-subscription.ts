import { messageOf, runInRootScope } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { PostgresUnavailableError, isConnectionLost } from './postgres.errors.js';

/** What {@link Wakeup.on} calls. */
export type WakeupHandler = () => void | Promise<void>;

const logger = new Logger('NestboxWakeup');

/** The longest that setTimeout waits. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Calls a function when woken, when its time has come, and else every so often. One call at a time: whatever happens
 * during a call leads to one more.
 */
export class WakeupSubscription implements Disposable {
  private running = false;
  private wanted = false;
  private disposed = false;
  private failing = false;
  private timer: NodeJS.Timeout | undefined;
  /** When {@link wakeIn} asked for a call, on the monotonic clock. */
  private dueAt = Infinity;
  private pollAt = Infinity;

  /** @internal Made by `Wakeup.on`. */
  constructor(
    private readonly topic: string,
    private readonly handler: WakeupHandler,
    private readonly pollMs: number,
    private readonly onDispose: (subscription: WakeupSubscription) => void,
  ) {
    this.planPoll();
  }

  /** Asks for a call, soon. */
  wake(): void {
    if (this.wanted || this.disposed) return;
    this.wanted = true;
    if (!this.running) runInRootScope(() => setImmediate(() => void this.run()));
  }

  /**
   * Asks for a call after so many milliseconds. The earliest time asked for counts, and the next call, whatever leads
   * to it, does away with it; so let the handler ask again.
   *
   * To be called at a time of the database's clock, let it compute the milliseconds that are left:
   * `extract(epoch from due_at - clock_timestamp()) * 1000`.
   */
  wakeIn(ms: number): void {
    this.dueAt = Math.min(this.dueAt, performance.now() + Math.max(0, ms));
    if (!this.running && !this.disposed) this.startTimer();
  }

  /** No call begins after this. May be called twice. */
  [Symbol.dispose](): void {
    this.disposed = true;
    clearTimeout(this.timer);
    this.onDispose(this);
  }

  /** Never rejects. */
  private async run(): Promise<void> {
    clearTimeout(this.timer);
    if (this.disposed || this.running) return;
    this.running = true;
    this.wanted = false;
    this.dueAt = Infinity;
    try {
      await this.handler();
      this.failing = false;
    } catch (error) {
      if (!this.failing) this.logFailure(error);
      this.failing = true;
    }
    this.running = false;
    if (this.disposed) return;
    // Not at once: a handler that wakes itself must not keep the process from all else.
    if (this.wanted) setImmediate(() => void this.run());
    else this.planPoll();
  }

  private logFailure(error: unknown): void {
    const what = `What "${this.topic}" wakes`;
    // No fault of the handler's, whose stack would say nothing.
    if (isConnectionLost(error) || error instanceof PostgresUnavailableError) {
      logger.warn(`${what} cannot reach PostgreSQL; trying again: ${messageOf(error)}`);
    } else {
      logger.error(`${what} has failed: ${messageOf(error)}`, error);
    }
  }

  private planPoll(): void {
    // Subscribers that started together shall not poll together.
    this.pollAt = performance.now() + this.pollMs * (0.75 + Math.random() * 0.25);
    this.startTimer();
  }

  private startTimer(): void {
    clearTimeout(this.timer);
    const at = Math.min(this.dueAt, this.pollAt);
    if (at === Infinity) return;
    const ms = Math.min(Math.ceil(at - performance.now()), MAX_TIMEOUT_MS);
    this.timer = runInRootScope(() => setTimeout(() => this.wake(), ms)).unref();
  }
}
