import { messageOf, runInRootScope } from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { LeaseExpiredError } from './leases.errors.js';

/** What a {@link Lease} needs of the {@link Leases} that made it. */
export interface LeaseKeeper {
  /** Starts the time to live of the lease again, or makes it lose. Rejects when the database cannot be asked. */
  renew(lease: Lease): Promise<void>;
  /** Whether it was still held in the database. */
  release(lease: Lease): Promise<boolean>;
  assertHeld(lease: Lease): Promise<void>;
  /** The lease is over and needs no more care. */
  forget(lease: Lease): void;
}

const logger = new Logger('NestboxLeases');

/**
 * A lock that ends by itself. Get one by {@link Leases.acquire}.
 *
 * The holder knows before everybody else that its time is up: the local deadline counts from before the statement was
 * sent that the database counts from, and is a little shorter. Only a process that was frozen may still act on a
 * lease that is over; a write that must not happen then calls `nestbox.assert_lease` (or {@link assertHeld}) in its
 * transaction, or carries the epoch to where a lower one is refused.
 */
export class Lease {
  private readonly controller = new AbortController();
  private deadline: number;
  private state: 'held' | 'released' | 'lost' = 'held';
  private timer: NodeJS.Timeout | undefined;

  /** @internal Made by `Leases`. */
  constructor(
    private readonly keeper: LeaseKeeper,
    readonly name: string,
    /** Names the process and the acquisition, for people. */
    readonly owner: string,
    /** The fencing token: higher than that of every holder before. */
    readonly epoch: bigint,
    /** The time to live, in ms. */
    readonly ttlMs: number,
    sentAt: number,
  ) {
    this.deadline = this.deadlineFrom(sentAt);
    this.startTimer();
  }

  /** False as soon as the time is up by this process' monotonic clock, also when it was frozen meanwhile. */
  get held(): boolean {
    if (this.state === 'held' && performance.now() >= this.deadline) this.lose();
    return this.state === 'held';
  }

  /**
   * Aborts when the lease runs out (with LeaseExpiredError) or `Leases` is closed (with ClosedError) before it was
   * released.
   */
  get signal(): AbortSignal {
    // Whoever takes the signal now must see what is already so.
    void this.held;
    return this.controller.signal;
  }

  /** When it has to be renewed next, on the monotonic clock. */
  get renewAt(): number {
    return this.deadline - (this.ttlMs * 2) / 3;
  }

  /**
   * Starts the time to live again.
   *
   * @throws LeaseExpiredError when it has run out or was released; the driver's error when the database cannot be
   *   asked, which leaves the lease as it was
   */
  async renew(): Promise<void> {
    if (this.held) await this.keeper.renew(this);
    if (!this.held) throw new LeaseExpiredError(this.name, this.epoch);
  }

  /**
   * Lets others in at once. False when it had run out or was released before. When it rejects, with the driver's
   * error, the lease is over for this holder, and others can have it once its time is up.
   */
  async release(): Promise<boolean> {
    const { held } = this;
    this.end('released');
    return held ? this.keeper.release(this) : false;
  }

  /**
   * Asks the database, and inside an ambient transaction keeps others from taking the lease over until the
   * transaction is over. Call it before the writes that only the holder may do.
   *
   * @throws LeaseExpiredError
   */
  async assertHeld(): Promise<void> {
    if (!this.held) throw new LeaseExpiredError(this.name, this.epoch);
    await this.keeper.assertHeld(this);
  }

  /** Releases it; when that fails, the lease ends by itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.release();
    } catch (error) {
      logger.warn(`Lease "${this.name}" could not be released and will run out: ${messageOf(error)}`);
    }
  }

  /** @internal The database has renewed it in answer to a statement sent at this time. */
  extend(sentAt: number): void {
    this.deadline = Math.max(this.deadline, this.deadlineFrom(sentAt));
  }

  /** @internal The lease is over without having been released. */
  lose(reason: Error = new LeaseExpiredError(this.name, this.epoch)): void {
    if (this.state !== 'held') return;
    this.end('lost');
    this.controller.abort(reason);
  }

  private end(state: 'released' | 'lost'): void {
    if (this.state !== 'held') return;
    this.state = state;
    clearTimeout(this.timer);
    this.keeper.forget(this);
  }

  /** A little early, since two clocks never run at quite the same speed. */
  private deadlineFrom(sentAt: number): number {
    return sentAt + this.ttlMs - Math.min(this.ttlMs / 10, 5 + this.ttlMs / 100);
  }

  private startTimer(): void {
    const ms = Math.min(Math.max(0, Math.ceil(this.deadline - performance.now())), 2 ** 31 - 1);
    const check = (): void => {
      // It may have been renewed meanwhile.
      if (this.held) this.startTimer();
    };
    this.timer = runInRootScope(() => setTimeout(check, ms)).unref();
  }
}
