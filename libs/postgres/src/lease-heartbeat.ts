import { runInRootScope } from '@nestbox/core';
import type { Lease } from './lease.js';

/** Renews many leases with few statements: each at a third of its time to live, those that are due soon together. */
export class LeaseHeartbeat {
  /** The leases, and when each was last tried. */
  private readonly leases = new Map<Lease, number>();
  private timer: NodeJS.Timeout | undefined;
  private timerAt = Infinity;

  /** @param renew must not reject */
  constructor(private readonly renew: (leases: Lease[]) => Promise<void>) {}

  add(lease: Lease): void {
    if (!lease.held) return;
    this.leases.set(lease, -Infinity);
    this.plan();
  }

  delete(lease: Lease): void {
    if (this.leases.delete(lease) && this.leases.size === 0) this.stop();
  }

  private stop(): void {
    clearTimeout(this.timer);
    this.timerAt = Infinity;
  }

  /**
   * An attempt that was not answered is repeated after a ninth of the time to live, on another connection if need be:
   * six times before the lease is lost.
   */
  private dueAt(lease: Lease, triedAt: number): number {
    return Math.max(lease.renewAt, triedAt + lease.ttlMs / 9);
  }

  private plan(): void {
    let at = Infinity;
    for (const [lease, triedAt] of this.leases) at = Math.min(at, this.dueAt(lease, triedAt));
    if (at === this.timerAt) return;
    this.stop();
    if (at === Infinity) return;
    this.timerAt = at;
    const ms = Math.min(Math.max(0, at - performance.now()), 2 ** 31 - 1);
    this.timer = runInRootScope(() => setTimeout(() => this.beat(), ms)).unref();
  }

  private beat(): void {
    this.timerAt = Infinity;
    const now = performance.now();
    const due: Lease[] = [];
    for (const [lease, triedAt] of this.leases) {
      if (this.dueAt(lease, triedAt) - now > lease.ttlMs / 6) continue;
      // A lease that has run out takes itself off the list when it is looked at.
      if (!lease.held) continue;
      due.push(lease);
      this.leases.set(lease, now);
    }
    if (due.length > 0) void this.renew(due).then(() => this.plan());
    this.plan();
  }
}
