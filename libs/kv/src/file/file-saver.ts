import { runInRootScope } from '@nestbox/core';
import type { LocalState } from '../memory/local-state.js';

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Saves a state as often as it changes, but once at a time: changes made while it is being saved go together with the
 * next saving. When a saving fails, all that is not saved is taken back, and those who wait for it are told.
 */
export class FileSaver {
  private waiting: Waiter[] = [];
  private running: Promise<void> | undefined;

  constructor(
    private readonly state: LocalState,
    private readonly write: (state: LocalState) => Promise<void>,
  ) {}

  /** Resolves when every change made so far is saved. */
  save(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.running ??= runInRootScope(() => this.run());
    });
  }

  /** Resolves when nothing is left to save. */
  async idle(): Promise<void> {
    await this.running;
  }

  private async run(): Promise<void> {
    // So that calls made together are saved together.
    await Promise.resolve();
    while (this.waiting.length > 0) await this.saveOnce();
    this.running = undefined;
  }

  private async saveOnce(): Promise<void> {
    const waiters = this.waiting;
    this.waiting = [];
    const { pending, newestRevision } = this.state;
    try {
      await this.write(this.state);
    } catch (error) {
      // Changes made since then rest on those that failed.
      this.state.rollback();
      const failed = [...waiters, ...this.waiting];
      this.waiting = [];
      for (const waiter of failed) waiter.reject(error);
      return;
    }
    this.state.keep(pending, newestRevision);
    for (const waiter of waiters) waiter.resolve();
  }
}
