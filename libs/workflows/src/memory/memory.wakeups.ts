import type { WorkflowClock } from './clock.js';
import { MemorySubscription } from './memory.subscription.js';
import type { Notices } from './operation.js';

export const READY = 'ready';
export const ENDED = 'ended';

/** The topic of one worker. */
export function topicOf(worker: string): string {
  return `worker:${worker}`;
}

/** Who waits for what. */
export class MemoryWakeups {
  private readonly subscriptions = new Map<string, Set<MemorySubscription>>();
  private skips: Disposable | undefined;

  constructor(private readonly clock: WorkflowClock) {}

  on(topic: string, handler: () => void | Promise<void>, pollMs: number): MemorySubscription {
    const subscription = new MemorySubscription(topic, handler, pollMs, this.clock, (one) => {
      const others = this.subscriptions.get(topic);
      others?.delete(one);
      if (others?.size === 0) this.subscriptions.delete(topic);
      if (this.subscriptions.size === 0) this.stopListening();
    });
    const others = this.subscriptions.get(topic);
    if (others === undefined) this.subscriptions.set(topic, new Set([subscription]));
    else others.add(subscription);
    this.skips ??= this.clock.onSkip?.(() => this.skipped());
    return subscription;
  }

  wake(topic: string): void {
    for (const subscription of this.subscriptions.get(topic) ?? []) subscription.wake();
  }

  tell({ ready, ended, workers }: Notices): void {
    if (ready) this.wake(READY);
    if (ended) this.wake(ENDED);
    for (const worker of workers) this.wake(topicOf(worker));
  }

  disposeAll(): void {
    for (const subscription of this.all()) subscription[Symbol.dispose]();
  }

  private skipped(): void {
    for (const subscription of this.all()) subscription.look();
    // Their timers know only what was so when they last looked.
    this.wake(READY);
  }

  private all(): MemorySubscription[] {
    return [...this.subscriptions.values()].flatMap((some) => [...some]);
  }

  private stopListening(): void {
    this.skips?.[Symbol.dispose]();
    this.skips = undefined;
  }
}
