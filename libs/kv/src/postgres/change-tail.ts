import { ClosedError } from '@nestbox/core';
import { isConnectionLost, type WakeupSubscription, type Wakeup } from '@nestbox/postgres';
import type { KvLog, LoggedChange } from './kv-log.js';

/** Recent changes that are kept for those who read along, and how many characters of keys and values. */
const MAX_RECENT = 5_000;
const MAX_RECENT_CHARS = 16 * 1024 * 1024;

/**
 * Follows the log for all feeds of a process, so that many of them cost the database no more than one. It runs while
 * there are any, and keeps the newest changes in memory.
 */
export class ChangeTail {
  private readonly feeds = new Set<() => void>();
  private subscription: WakeupSubscription | undefined;
  private starting: Promise<void> | undefined;
  private recent: LoggedChange[] = [];
  private recentChars = 0;
  /** `recent` has every change above this revision and up to {@link position}. */
  private recentAfter = 0n;
  private current = 0n;
  private failed: { error: unknown } | undefined;
  private closed = false;

  /**
   * @param what what to call the adapter in a ClosedError
   * @param pollMs how often it looks for changes without having been woken
   */
  constructor(
    private readonly what: string,
    private readonly log: KvLog,
    private readonly wakeup: () => Wakeup,
    private readonly topic: string,
    private readonly pollMs = 1_000,
  ) {}

  get isWatched(): boolean {
    return this.feeds.size > 0;
  }

  /** Every change up to this revision can be read. */
  get position(): bigint {
    return this.current;
  }

  /** Why the log could not be read the last time, unless the connection was the reason. */
  get failure(): { error: unknown } | undefined {
    return this.failed;
  }

  assertOpen(): void {
    if (this.closed) throw new ClosedError(this.what);
  }

  /** Adds a feed, and calls `wake` whenever there is something new, until {@link leave}. */
  async join(wake: () => void): Promise<void> {
    this.assertOpen();
    this.feeds.add(wake);
    try {
      this.starting ??= this.start();
      await this.starting;
      this.assertOpen();
    } catch (error) {
      this.leave(wake);
      throw error;
    }
  }

  leave(wake: () => void): void {
    this.feeds.delete(wake);
    if (this.feeds.size === 0) this.stop();
  }

  /** The changes above a revision, when they are still at hand. */
  recentAbove(revision: bigint): readonly LoggedChange[] | undefined {
    if (revision < this.recentAfter) return undefined;
    let low = 0;
    let high = this.recent.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.recent[middle]!.revision > revision) high = middle;
      else low = middle + 1;
    }
    return this.recent.slice(low);
  }

  close(): void {
    this.closed = true;
    this.stop();
    this.wakeFeeds();
  }

  private async start(): Promise<void> {
    try {
      const position = await this.log.watermark();
      if (this.feeds.size === 0) return;
      this.reset(position);
      this.failed = undefined;
      this.subscription = this.wakeup().on(this.topic, () => this.advance(), { pollMs: this.pollMs });
      // What was changed between the two lines above has woken nobody.
      this.subscription.wake();
    } catch (error) {
      this.starting = undefined;
      throw error;
    }
  }

  private stop(): void {
    this.subscription?.[Symbol.dispose]();
    this.subscription = undefined;
    this.starting = undefined;
    this.reset(this.current);
  }

  /** Calls never overlap: the subscription sees to that. */
  private async advance(): Promise<void> {
    const { subscription } = this;
    try {
      while (subscription === this.subscription && (await this.step(subscription)));
      this.failed = undefined;
    } catch (error) {
      // A lost connection comes back, and then all is read that was missed.
      if (subscription !== this.subscription || isConnectionLost(error)) return;
      this.failed = { error };
      this.wakeFeeds();
      throw error;
    }
  }

  /** Reads a page; tells whether there may be more. */
  private async step(subscription: WakeupSubscription | undefined): Promise<boolean> {
    const upTo = await this.log.watermark();
    if (upTo <= this.current) return false;
    const { changes, complete, oldest } = await this.log.read(this.current, upTo, '');
    const kept = oldest ?? (await this.log.keep());
    if (subscription !== this.subscription) return false;
    if (kept > this.current + 1n) {
      // Changes were trimmed that we have not read. The feeds find out as soon as they ask for them.
      this.reset(kept - 1n);
    } else {
      for (const change of changes) {
        this.recent.push(change);
        this.recentChars += charsOf(change);
      }
      this.current = complete ? upTo : changes.at(-1)!.revision;
      this.trim();
    }
    this.wakeFeeds();
    return !complete;
  }

  private reset(position: bigint): void {
    this.recent = [];
    this.recentChars = 0;
    this.recentAfter = position;
    this.current = position;
  }

  private trim(): void {
    if (this.recent.length <= MAX_RECENT && this.recentChars <= MAX_RECENT_CHARS) return;
    // Down to three quarters, so that the array is not cut at every step.
    let count = 0;
    while (
      this.recent.length - count > MAX_RECENT * 0.75 ||
      (this.recentChars > MAX_RECENT_CHARS * 0.75 && count < this.recent.length)
    ) {
      this.recentChars -= charsOf(this.recent[count++]!);
    }
    this.recentAfter = this.recent[count - 1]!.revision;
    this.recent.splice(0, count);
  }

  private wakeFeeds(): void {
    for (const wake of this.feeds) wake();
  }
}

function charsOf({ key, json }: LoggedChange): number {
  return key.length + (json?.length ?? 0);
}
