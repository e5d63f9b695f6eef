import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ClosedError,
  assertName,
  messageOf,
  parseDuration,
  runInRootScope,
  type Duration,
} from '@nestbox/core';
import { Logger } from '@nestjs/common';
import { LeaseHeartbeat } from './lease-heartbeat.js';
import { Lease, type LeaseKeeper } from './lease.js';
import { LEASE_OVER, LeaseTable, type LeaseRefusal } from './lease-table.js';
import { LeaseExpiredError, LeaseUnavailableError } from './leases.errors.js';
import { isConnectionLost, isTransactionConflict } from './postgres.errors.js';
import type { Queryable } from './queryable.js';
import type { Wakeup } from './wakeup.js';
import type { WakeupSubscription } from './wakeup-subscription.js';

/** What {@link Leases} needs of `Postgres`. */
export interface LeaseDatabase extends Queryable {
  readonly wakeup: Pick<Wakeup, 'notify' | 'on'>;
}

/** How a lease is taken. */
export interface AcquireOptions {
  /** For how long the lease is held unless it is renewed. */
  ttl: Duration;
  /** How long to wait while somebody else holds it. Default: not at all. */
  wait?: Duration;
  /** Ends the waiting. */
  signal?: AbortSignal;
  /** Whether it is renewed, at a third of `ttl`, until it is released. Default: false. */
  autoRenew?: boolean;
}

/** How often one process looks for rows to sweep, and how old these must be. */
const SWEEP_EVERY_MS = 60 * 60 * 1000;
const SWEEP_OLDER_THAN = '1 hour';
const SWEEP_BATCH = 1_000;
const CLOSE_TIMEOUT_MS = 2_000;

/**
 * Locks that end by themselves, kept in `nestbox.leases`. The database's clock decides who holds one; each holder
 * gets a higher epoch than all before it. All statements run outside of an ambient transaction, since a lease is for
 * others to see at once.
 */
export class Leases {
  private readonly logger = new Logger('NestboxLeases');
  private readonly owner = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`;
  private readonly table: LeaseTable;
  private readonly active = new Set<Lease>();
  private readonly heartbeat = new LeaseHeartbeat((leases) => this.beat(leases));
  /** Ends the acquisitions that are under way. */
  private readonly acquiring = new Set<AbortController>();
  private closed: Promise<void> | undefined;
  private acquisitions = 0;
  private failing = false;
  /** Processes that start together shall not sweep together. */
  private sweepAt = performance.now() + Math.random() * SWEEP_EVERY_MS;

  private readonly keeper: LeaseKeeper = {
    renew: (lease) => runInRootScope(() => this.renew([lease])),
    release: (lease) => runInRootScope(async () => (await this.release([lease])).has(lease.epoch)),
    assertHeld: (lease) => this.assertHeld(lease),
    forget: (lease) => {
      this.active.delete(lease);
      this.heartbeat.delete(lease);
    },
  };

  constructor(private readonly postgres: LeaseDatabase) {
    this.table = new LeaseTable(postgres);
  }

  /**
   * Takes a lease that nobody holds, this process included.
   *
   * @throws LeaseUnavailableError when somebody holds it and `wait` is over; the reason of `signal`; ClosedError;
   *   InvalidArgumentError
   */
  async acquire(name: string, options: AcquireOptions): Promise<Lease> {
    assertName(name, 'name');
    const ttlMs = parseDuration(options.ttl, 'ttl');
    const waitMs = options.wait === undefined ? 0 : parseDuration(options.wait, 'wait');
    if (this.closed !== undefined) throw new ClosedError('Leases');
    const { signal } = options;
    signal?.throwIfAborted();
    const stop = new AbortController();
    const abort = (): void => stop.abort(signal?.reason);
    signal?.addEventListener('abort', abort);
    this.acquiring.add(stop);
    try {
      const lease = await runInRootScope(() => this.acquireInTime(name, ttlMs, waitMs, stop.signal));
      if (options.autoRenew === true) this.heartbeat.add(lease);
      this.sweepSometimes();
      return lease;
    } finally {
      this.acquiring.delete(stop);
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Releases all leases; their signals abort. May be called twice. */
  close(): Promise<void> {
    this.closed ??= runInRootScope(() => this.closeOnce());
    return this.closed;
  }

  private async closeOnce(): Promise<void> {
    const reason = new ClosedError('Leases');
    for (const acquisition of this.acquiring) acquisition.abort(reason);
    const held = [...this.active].filter((lease) => lease.held);
    for (const lease of held) lease.lose(reason);
    if (held.length === 0) return;
    const timeout = new AbortController();
    const late = sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false, signal: timeout.signal });
    try {
      await Promise.race([this.release(held), late]);
    } catch (error) {
      this.logger.warn(`Leases could not be released and will run out: ${messageOf(error)}`);
    }
    timeout.abort();
    late.catch(() => undefined);
  }

  private async acquireInTime(
    name: string,
    ttlMs: number,
    waitMs: number,
    stop: AbortSignal,
  ): Promise<Lease> {
    // One owner for all tries: when the answer to a successful one was lost, the next one takes the lease again.
    const owner = `${this.owner}:${++this.acquisitions}`;
    const until = performance.now() + waitMs;
    let subscription: WakeupSubscription | undefined;
    let wake = noop;
    try {
      for (;;) {
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        const trying = this.tryAcquire(name, owner, ttlMs, waitMs > 0);
        const outcome = await orAborted(trying, stop).catch((error: unknown) => {
          // Should it be granted after all, nobody wants it any more.
          trying.then((late) => (late instanceof Lease ? late.release() : false)).catch(noop);
          throw error;
        });
        if (outcome instanceof Lease) return outcome;
        const leftMs = until - performance.now();
        if (leftMs <= 0) throw new LeaseUnavailableError(name, outcome.owner, outcome.remainingMs);
        if (subscription === undefined) {
          subscription = this.postgres.wakeup.on(topicOf(name), () => wake());
          // It may have been released before we were there to be woken: try once more.
          continue;
        }
        subscription.wakeIn(Math.min(leftMs, Math.max(outcome.remainingMs, 20) + Math.random() * 20));
        await orAborted(woken, stop);
      }
    } finally {
      subscription?.[Symbol.dispose]();
    }
  }

  /** @param patient whether to count a lost connection as a refusal */
  private async tryAcquire(
    name: string,
    owner: string,
    ttlMs: number,
    patient: boolean,
  ): Promise<Lease | LeaseRefusal> {
    const sentAt = performance.now();
    try {
      const granted = await this.table.acquire(name, owner, ttlMs);
      if (!('epoch' in granted)) return granted;
      const lease = new Lease(this.keeper, name, owner, granted.epoch, ttlMs, sentAt);
      // A process that was held up may get its answer when the time is up already: then it has nothing to give.
      if (!lease.held) return { owner: undefined, remainingMs: 0 };
      this.active.add(lease);
      return lease;
    } catch (error) {
      // Under a stricter default isolation, two who meet are told to try again.
      if (isTransactionConflict(error)) return { owner: undefined, remainingMs: 0 };
      if (patient && isConnectionLost(error)) return { owner: undefined, remainingMs: 200 };
      throw error;
    }
  }

  /** Renews those that can be, and makes the others lose. */
  private async renew(leases: readonly Lease[]): Promise<void> {
    const sentAt = performance.now();
    const renewed = await this.table.renew(leases);
    const tooLate: Lease[] = [];
    for (const lease of leases) {
      if (!renewed.has(lease.epoch)) lease.lose();
      else if (lease.held) lease.extend(sentAt);
      else tooLate.push(lease);
    }
    // The answer came after the holder had given up; nobody shall wait for a lease without a holder.
    if (tooLate.length > 0) await this.release(tooLate);
  }

  /** The heartbeat's way to renew. Never rejects. */
  private async beat(leases: Lease[]): Promise<void> {
    try {
      await this.renew(leases);
      this.failing = false;
    } catch (error) {
      if (!this.failing) {
        this.logger.warn(`${leases.length} leases could not be renewed; trying again: ${messageOf(error)}`);
      }
      this.failing = true;
    }
  }

  /** Resolves to the epochs of those that were still held. */
  private async release(leases: readonly Lease[]): Promise<Set<bigint>> {
    const released = await this.table.release(leases);
    for (const lease of leases)
      if (released.has(lease.epoch)) this.postgres.wakeup.notify(topicOf(lease.name));
    return released;
  }

  private async assertHeld(lease: Lease): Promise<void> {
    try {
      await this.table.assertHeld(lease);
    } catch (error) {
      if (codeOf(error) !== LEASE_OVER) throw error;
      const expired = new LeaseExpiredError(lease.name, lease.epoch, { cause: error });
      lease.lose(expired);
      throw expired;
    }
  }

  private sweepSometimes(): void {
    if (performance.now() < this.sweepAt) return;
    this.sweepAt = performance.now() + SWEEP_EVERY_MS;
    runInRootScope(() => this.sweep()).catch((error: unknown) => {
      this.logger.warn(`Old leases could not be swept; trying again in an hour: ${messageOf(error)}`);
    });
  }

  private async sweep(): Promise<void> {
    let swept = SWEEP_BATCH;
    while (swept === SWEEP_BATCH && this.closed === undefined) {
      swept = await this.table.sweep(SWEEP_OLDER_THAN, SWEEP_BATCH);
    }
  }
}

function topicOf(name: string): string {
  return `lease:${name}`;
}

/** Settles as `promise` does, or rejects with the signal's reason. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    promise
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', abort))
      .catch(noop);
  });
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null | undefined)?.code;
}

function noop(): void {
  // For outcomes that nobody waits for.
}
