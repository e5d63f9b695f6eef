import { messageOf } from '@nestbox/core';
import { RedisUnavailableError } from './redis.errors.js';
import type { Settings } from './redis.options.js';

/** Something that waits for a connection. */
export interface Waiting {
  deliver(): void;
  reject(error: Error): void;
}

/**
 * Where commands wait while there is no connection. ioredis' own queue has no limit, and loses sight of commands that
 * were under way. When the outage has lasted too long, all that wait are refused, and whoever comes later is refused
 * at once, until the connection is back.
 */
export class WaitingRoom {
  private waiting: Waiting[] = [];
  private downSince: number | undefined;
  private timer: NodeJS.Timeout | undefined;
  private held = false;
  private closed = false;
  /** The transactions and pipelines that wait: all their commands or none. */
  private admittedGroups = new WeakSet<object>();
  private reason: unknown;

  constructor(
    private readonly server: string,
    private readonly settings: Settings,
  ) {}

  /** Whether commands must wait although the connection is there, to keep their order. */
  get isOccupied(): boolean {
    return this.held || this.waiting.length > 0;
  }

  /** Whether {@link hold} was called since the last connection. */
  get isHeld(): boolean {
    return this.held;
  }

  /** Why the connection is down, as far as is known. */
  get lastError(): unknown {
    return this.reason;
  }

  note(error: unknown): void {
    this.reason = error;
  }

  /** The connection was lost, or an attempt to make one begins. */
  down(): void {
    this.downSince ??= performance.now();
  }

  /** Lets commands wait for the next connection although there still is one. */
  hold(): void {
    this.held = true;
    this.down();
  }

  /** The connection is there: delivers all that wait, in the order in which they came. */
  open(): void {
    const { waiting } = this;
    this.reset();
    this.downSince = undefined;
    this.reason = undefined;
    this.closed = false;
    for (const one of waiting) one.deliver();
  }

  /** @param group the pipeline that the command belongs to */
  enter(one: Waiting, group?: object): void {
    this.down();
    if (this.closed) {
      one.reject(this.refusal('was disconnected'));
      return;
    }
    if (group === undefined || !this.admittedGroups.has(group)) {
      if (this.waiting.length >= this.settings.maxWaitingCommands) {
        one.reject(this.refusal(`is not connected, and ${this.waiting.length} commands wait already`));
        return;
      }
      if (this.leftMs() <= 0) {
        one.reject(this.refusal(this.outage()));
        return;
      }
      if (group !== undefined) this.admittedGroups.add(group);
    }
    this.waiting.push(one);
    this.timer ??= setTimeout(() => this.refuseAll(this.refusal(this.outage())), this.leftMs());
  }

  /** Refuses all that wait, and whoever comes later, unless somebody connects again. */
  close(): void {
    this.closed = true;
    this.refuseAll(this.refusal('was disconnected'));
  }

  private refuseAll(error: RedisUnavailableError): void {
    const { waiting } = this;
    this.reset();
    for (const one of waiting) one.reject(error);
  }

  private reset(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.waiting = [];
    this.held = false;
    this.admittedGroups = new WeakSet();
  }

  private leftMs(): number {
    return (this.downSince ?? performance.now()) + this.settings.unavailableAfterMs - performance.now();
  }

  private outage(): string {
    const seconds = ((performance.now() - (this.downSince ?? 0)) / 1000).toFixed(1);
    const reason = this.reason === undefined ? '' : `: ${messageOf(this.reason)}`;
    return `has not been reachable for ${seconds} s${reason}`;
  }

  private refusal(problem: string): RedisUnavailableError {
    return new RedisUnavailableError(this.server, problem, false, { cause: this.reason });
  }
}
