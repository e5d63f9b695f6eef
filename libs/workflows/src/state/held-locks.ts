import { AsyncLocalStorage } from 'node:async_hooks';
import { InvalidArgumentError } from '@nestbox/core';

interface Held {
  readonly id: string;
  /** Those that the caller held before. */
  readonly outer: Held | undefined;
  isHeld: boolean;
}

/** Knows which runs the caller has locked, since it would wait for itself for ever if it locked one again. */
export class HeldLocks {
  private readonly ambient = new AsyncLocalStorage<Held>();

  /** @throws InvalidArgumentError when the caller has it */
  assertFree(id: string): void {
    for (let held = this.ambient.getStore(); held !== undefined; held = held.outer) {
      if (held.id === id && held.isHeld) {
        throw new InvalidArgumentError('id', `belongs to a run that the caller has locked already: "${id}".`);
      }
    }
  }

  /** Also when `fn` throws instead of rejecting. */
  async run<T>(id: string, fn: () => Promise<T>): Promise<T> {
    const held: Held = { id, outer: this.ambient.getStore(), isHeld: true };
    try {
      return await this.ambient.run(held, fn);
    } finally {
      // What `fn` left behind may outlive it.
      held.isHeld = false;
    }
  }
}
