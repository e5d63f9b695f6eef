/**
 * How many shards of a processor this instance may have, so that all instances that run it have about as many. Each
 * counts the instances for itself, so for a moment some may have more or fewer; the leases are what keeps two from
 * having the same.
 */
export class ShardQuota {
  private limit: number;
  private held = 0;
  private readonly waiting = new Set<() => void>();

  constructor(private readonly shards: number) {
    this.limit = shards;
  }

  /** @returns whether that changes what this instance may have */
  setInstances(count: number): boolean {
    const limit = Math.ceil(this.shards / Math.max(1, count));
    if (limit === this.limit) return false;
    this.limit = limit;
    this.admit();
    return true;
  }

  /** Waits until this instance may have one more, or the signal is given. */
  async room(signal: AbortSignal): Promise<void> {
    while (this.held >= this.limit && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.waiting.add(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  take(): void {
    this.held++;
  }

  give(): void {
    this.held--;
    this.admit();
  }

  /** Whether one has to go; then it counts as given back. */
  giveIfTooMany(): boolean {
    if (this.held <= this.limit) return false;
    this.give();
    return true;
  }

  private admit(): void {
    for (const resolve of this.waiting) resolve();
    this.waiting.clear();
  }
}
