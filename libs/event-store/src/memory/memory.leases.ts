import { LeaseExpiredError } from '@nestbox/postgres';
import type { Fence, ProcessorLease } from '../consumers/processor.backend.js';

interface Holder {
  readonly epoch: bigint;
}

/**
 * Leases in one process: whoever holds one is alive as long as those who wait for it, so that they do not run out. They
 * end when they are released.
 */
export class MemoryLeases {
  private readonly holders = new Map<string, Holder>();
  private readonly epochs = new Map<string, bigint>();
  private readonly waiting = new Map<string, (() => void)[]>();

  /** Waits until the lease is free, in the order of the calls. @throws the reason of the signal */
  async acquire(name: string, signal: AbortSignal): Promise<ProcessorLease> {
    signal.throwIfAborted();
    if (this.holders.has(name)) await this.turn(name, signal);
    const epoch = (this.epochs.get(name) ?? 0n) + 1n;
    const holder: Holder = { epoch };
    this.epochs.set(name, epoch);
    this.holders.set(name, holder);
    const isHeld = (): boolean => this.holders.get(name) === holder;
    return {
      fence: { name, epoch, ttlMs: Infinity },
      get held() {
        return isHeld();
      },
      signal: new AbortController().signal,
      release: async () => {
        if (isHeld()) this.release(name);
      },
    };
  }

  /** How many are held whose names begin so. */
  count(prefix: string): number {
    return [...this.holders.keys()].filter((name) => name.startsWith(prefix)).length;
  }

  /** Without waiting. */
  async tryAcquire(name: string): Promise<ProcessorLease | undefined> {
    return this.holders.has(name) ? undefined : this.acquire(name, new AbortController().signal);
  }

  /** @throws LeaseExpiredError when the lease is over */
  assertHeld({ name, epoch }: Fence): void {
    if (this.holders.get(name)?.epoch !== epoch) throw new LeaseExpiredError(name, epoch);
  }

  private release(name: string): void {
    this.holders.delete(name);
    const next = this.waiting.get(name)?.shift();
    // The place stays taken, so that nobody else comes first before the one who waited gets to run.
    if (next !== undefined) {
      this.holders.set(name, { epoch: 0n });
      next();
    }
  }

  private turn(name: string, signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const queue = this.waiting.get(name) ?? [];
      this.waiting.set(name, queue);
      const onAbort = (): void => {
        queue.splice(queue.indexOf(go), 1);
        reject(signal.reason as Error);
      };
      const go = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      queue.push(go);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
