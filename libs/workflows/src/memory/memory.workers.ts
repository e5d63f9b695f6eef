import { randomUUID } from 'node:crypto';
import { LeaseExpiredError } from '@nestbox/postgres';
import type { WorkerLease } from '../workflow.backend.js';

/**
 * Who is alive. Workers in one process are so as long as those who would take their runs over; so a lease ends when it
 * is released, or when a test says so.
 */
export class MemoryWorkers {
  private readonly live = new Map<string, AbortController>();
  private epoch = 0n;

  /** @param onGone there may be runs to take over */
  constructor(private readonly onGone: () => void) {}

  join(): WorkerLease {
    const worker = `workflows:memory:worker:${randomUUID()}`;
    const controller = new AbortController();
    this.live.set(worker, controller);
    this.epoch++;
    const isLive = (): boolean => this.isLive(worker);
    return {
      worker,
      get held() {
        return isLive();
      },
      signal: controller.signal,
      release: async () => {
        if (this.live.delete(worker)) this.onGone();
      },
    };
  }

  isLive(worker: string): boolean {
    return this.live.has(worker);
  }

  /** Ends a lease as if its time had run out. @returns whether it was held */
  expire(worker: string): boolean {
    const controller = this.live.get(worker);
    if (controller === undefined) return false;
    this.live.delete(worker);
    controller.abort(new LeaseExpiredError(worker, this.epoch));
    this.onGone();
    return true;
  }
}
