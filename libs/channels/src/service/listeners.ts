import { messageOf } from '@nestbox/core';
import type { Logger } from '@nestjs/common';

/** Functions to be called when something happens; one that throws is logged, and the others are called. */
export class Listeners<Args extends unknown[]> {
  private readonly listeners = new Set<(...args: Args) => void | Promise<void>>();

  constructor(
    private readonly what: string,
    private readonly logger: Logger,
  ) {}

  add(listener: (...args: Args) => void | Promise<void>): Disposable {
    // In a function of its own, so that who adds the same one twice has it called twice.
    const own = (...args: Args): void | Promise<void> => listener(...args);
    this.listeners.add(own);
    return { [Symbol.dispose]: () => void this.listeners.delete(own) };
  }

  /** Calls all; resolves when they are done. Never rejects. */
  async call(...args: Args): Promise<void> {
    await Promise.all(Array.from(this.listeners, (listener) => this.callOne(listener, args)));
  }

  private async callOne(listener: (...args: Args) => void | Promise<void>, args: Args): Promise<void> {
    try {
      await listener(...args);
    } catch (error) {
      const trace = error instanceof Error ? error.stack : undefined;
      this.logger.error(`A listener for ${this.what} failed: ${messageOf(error)}`, trace);
    }
  }
}
