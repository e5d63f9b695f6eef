import { InvalidArgumentError } from '@nestbox/core';
import { systemClock, type WorkflowClock } from './clock.js';

/** Goes on as time does, and leaps when told to, so that a test need not wait for days. */
export class VirtualClock implements WorkflowClock {
  private skippedMs = 0;
  private readonly listeners = new Set<() => void>();

  /** In ms since 1970. */
  now(): number {
    return systemClock.now() + this.skippedMs;
  }

  /**
   * Leaps so many ms ahead. Whatever has become due by that wakes at once.
   *
   * @throws InvalidArgumentError for a negative number or none at all
   */
  skip(ms: number): void {
    if (!Number.isFinite(ms) || ms < 0) {
      throw new InvalidArgumentError(
        'ms',
        `${ms} is no length of time; give a number of milliseconds from 0 on.`,
      );
    }
    this.skippedMs += ms;
    // One that is added by another is none of those that waited for this.
    const listeners = Array.from(this.listeners);
    for (const listener of listeners) listener();
  }

  /** Calls the listener after each leap, until it is disposed of. */
  onSkip(listener: () => void): Disposable {
    // So that the same function may listen twice.
    const own = (): void => listener();
    this.listeners.add(own);
    return { [Symbol.dispose]: () => void this.listeners.delete(own) };
  }
}
