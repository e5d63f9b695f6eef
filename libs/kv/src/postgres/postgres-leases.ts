import { ClosedError } from '@nestbox/core';
import { LeaseExpiredError, LeaseUnavailableError, type Lease, type Postgres } from '@nestbox/postgres';
import { createHash } from 'node:crypto';
import { naming, operationError } from '../adapter-support.js';
import type { AdapterLeaseOptions, KvLease } from '../kv.adapter.js';
import { LeaseHeldError, LeaseLostError } from '../kv.errors.js';
import type { KvTable } from './kv-table.js';

/** The longest name that a lease can have, in bytes. */
const MAX_LEASE_BYTES = 512;

/** Leases by PostgreSQL's clock, in `nestbox.leases`. */
export class PostgresLeases {
  private readonly closing = new AbortController();
  private readonly held = new Set<Lease>();

  constructor(
    private readonly what: string,
    private readonly postgres: Postgres,
    private readonly table: KvTable,
  ) {}

  /** As KvAdapter.lease says; the key has been checked. */
  async acquire(key: string, { ttl, wait, signal }: AdapterLeaseOptions): Promise<KvLease> {
    signal?.throwIfAborted();
    const ending =
      signal === undefined ? this.closing.signal : AbortSignal.any([signal, this.closing.signal]);
    try {
      const lease = await this.postgres.leases.acquire(this.nameOf(key), { ttl, wait, signal: ending });
      return this.toKvLease(key, lease);
    } catch (error) {
      if (error instanceof LeaseUnavailableError) throw new LeaseHeldError(key);
      // Whoever aborts gets back the reason that they gave.
      if (signal?.aborted === true && error === signal.reason) throw error;
      throw operationError(`lease "${key}"`, error, key);
    }
  }

  /** Refuses those who wait, and lets others in where we held a lease. Never rejects. */
  async close(): Promise<void> {
    this.closing.abort(new ClosedError(this.what));
    // A lease that cannot be released runs out by itself.
    await Promise.allSettled([...this.held].map((lease) => lease.release()));
    this.held.clear();
  }

  private nameOf(key: string): string {
    const prefix = `kv:${this.table.target}:`;
    const name = prefix + key;
    if (Buffer.byteLength(name) <= MAX_LEASE_BYTES) return name;
    return `${prefix}#${createHash('sha256').update(key).digest('base64url')}`;
  }

  private toKvLease(key: string, lease: Lease): KvLease {
    const { held } = this;
    held.add(lease);
    lease.signal.addEventListener('abort', () => held.delete(lease), { once: true });
    const release = async (): Promise<boolean> => {
      held.delete(lease);
      return naming(`release the lease "${key}"`, () => lease.release(), key);
    };
    return {
      key,
      fencingToken: lease.epoch,
      get held() {
        return lease.held;
      },
      renew: () => naming(`renew the lease "${key}"`, () => renew(key, lease), key),
      release,
      [Symbol.asyncDispose]: async () => {
        await release();
      },
    };
  }
}

async function renew(key: string, lease: Lease): Promise<void> {
  try {
    await lease.renew();
  } catch (error) {
    if (error instanceof LeaseExpiredError) throw new LeaseLostError(key);
    throw error;
  }
}
