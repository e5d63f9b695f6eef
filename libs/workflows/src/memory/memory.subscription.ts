import { messageOf, runInRootScope } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import type { WorkflowClock } from './clock.js';

const logger = new Logger('NestboxMemoryWorkflows');

/** The longest that setTimeout waits. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Calls a function when woken, when its time has come by the backend's clock, and else every so often. One call at a
 * time: whatever happens during a call leads to one more.
 */
export class MemorySubscription implements Disposable {
  private running = false;
  private wanted = false;
  private disposed = false;
  private failing = false;
  private timer: NodeJS.Timeout | undefined;
  /** When {@link wakeIn} asked for a call. */
  private dueAt = Infinity;
  private pollAt = Infinity;

  constructor(
    private readonly topic: string,
    private readonly handler: () => void | Promise<void>,
    private readonly pollMs: number,
    private readonly clock: WorkflowClock,
    private readonly onDispose: (subscription: MemorySubscription) => void,
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
   * Asks for a call after so many ms. The earliest time asked for counts, and the next call, whatever leads to it, does
   * away with it; so let the handler ask again.
   */
  wakeIn(ms: number): void {
    this.dueAt = Math.min(this.dueAt, this.clock.now() + Math.max(0, ms));
    if (!this.running && !this.disposed) this.startTimer();
  }

  /** To be called when the clock has leapt. */
  look(): void {
    if (this.disposed) return;
    if (Math.min(this.dueAt, this.pollAt) <= this.clock.now()) this.wake();
    else if (!this.running) this.startTimer();
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
      // Once, not with every poll for as long as it lasts.
      if (!this.failing) logger.error(`What "${this.topic}" wakes has failed: ${messageOf(error)}`, error);
      this.failing = true;
    }
    this.running = false;
    if (this.disposed) return;
    // Not at once: a handler that wakes itself must not keep the process from all else.
    if (this.wanted) setImmediate(() => void this.run());
    else this.planPoll();
  }

  private planPoll(): void {
    // Subscribers that started together shall not poll together.
    this.pollAt = this.clock.now() + this.pollMs * (0.75 + Math.random() * 0.25);
    this.startTimer();
  }

  private startTimer(): void {
    clearTimeout(this.timer);
    const at = Math.min(this.dueAt, this.pollAt);
    if (at === Infinity) return;
    // A clock that stands still brings the timer here again and again; not without a pause.
    const ms = Math.min(Math.max(Math.ceil(at - this.clock.now()), 1), MAX_TIMEOUT_MS);
    this.timer = runInRootScope(() => setTimeout(() => this.look(), ms)).unref();
  }
}
