import { ClosedError, parseDuration, runInRootScope } from '@nestbox/core';
import type { AdapterLeaseOptions, KvLease } from '../kv.adapter.js';
import { LeaseHeldError, LeaseLostError } from '../kv.errors.js';
import { optionalMs } from '../adapter-support.js';

interface Holder {
  fencingToken: bigint;
  /** By the monotonic clock. */
  until: number;
}

interface Waiter {
  ttl: number;
  resolve(lease: KvLease): void;
  reject(error: unknown): void;
  stop(): void;
}

/** Leases among the callers in this process. */
export class LocalLeases {
  private readonly holders = new Map<string, Holder>();
  private readonly waiters = new Map<string, Set<Waiter>>();
  private readonly timers = new Map<string, NodeJS.Timeout>();

  /** @param nextToken draws the next fencing token */
  constructor(
    private readonly what: string,
    private readonly nextToken: () => bigint,
  ) {}

  /** As KvAdapter.lease says; the key has been checked. */
  acquire(key: string, { ttl, wait, signal }: AdapterLeaseOptions): Promise<KvLease> {
    const ttlMs = parseDuration(ttl, 'ttl');
    const waitMs = optionalMs(wait, 'wait');
    signal?.throwIfAborted();
    if (this.holder(key) === undefined) return Promise.resolve(this.grant(key, ttlMs));
    if (waitMs === undefined) return Promise.reject(new LeaseHeldError(key));
    return new Promise((resolve, reject) => this.enqueue(key, ttlMs, waitMs, signal, resolve, reject));
  }

  close(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    this.holders.clear();
    for (const waiters of this.waiters.values()) {
      for (const waiter of waiters) {
        waiter.stop();
        waiter.reject(new ClosedError(this.what));
      }
    }
    this.waiters.clear();
  }

  private holder(key: string): Holder | undefined {
    const holder = this.holders.get(key);
    return holder !== undefined && holder.until > performance.now() ? holder : undefined;
  }

  private grant(key: string, ttl: number): KvLease {
    const holder: Holder = { fencingToken: this.nextToken(), until: performance.now() + ttl };
    this.holders.set(key, holder);
    this.watchEnd(key, holder);
    const holds = (): boolean => this.holder(key) === holder;
    const release = (): Promise<boolean> => {
      const held = holds();
      if (held) this.pass(key);
      return Promise.resolve(held);
    };
    return {
      key,
      fencingToken: holder.fencingToken,
      get held() {
        return holds();
      },
      renew: () => {
        if (!holds()) return Promise.reject(new LeaseLostError(key));
        holder.until = performance.now() + ttl;
        this.watchEnd(key, holder);
        return Promise.resolve();
      },
      release,
      [Symbol.asyncDispose]: async () => {
        await release();
      },
    };
  }

  /** Lets the next one in when the holder's time is up. */
  private watchEnd(key: string, holder: Holder): void {
    clearTimeout(this.timers.get(key));
    const remaining = Math.min(Math.max(1, holder.until - performance.now() + 1), 2 ** 31 - 1);
    const onEnd = (): void => {
      if (this.holder(key) === undefined) this.pass(key);
      else this.watchEnd(key, holder);
    };
    const timer = runInRootScope(() => setTimeout(onEnd, remaining));
    timer.unref();
    this.timers.set(key, timer);
  }

  private pass(key: string): void {
    this.holders.delete(key);
    clearTimeout(this.timers.get(key));
    this.timers.delete(key);
    const waiter = this.waiters.get(key)?.values().next().value;
    if (waiter === undefined) return;
    this.drop(key, waiter);
    waiter.resolve(this.grant(key, waiter.ttl));
  }

  private enqueue(
    key: string,
    ttl: number,
    waitMs: number,
    signal: AbortSignal | undefined,
    resolve: (lease: KvLease) => void,
    reject: (error: unknown) => void,
  ): void {
    const giveUp = (error: unknown): void => {
      this.drop(key, waiter);
      reject(error);
    };
    const onAbort = (): void => giveUp(signal?.reason);
    const timer = setTimeout(() => giveUp(new LeaseHeldError(key)), Math.min(waitMs, 2 ** 31 - 1));
    const waiter: Waiter = {
      ttl,
      resolve,
      reject,
      stop: () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      },
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const waiters = this.waiters.get(key);
    if (waiters === undefined) this.waiters.set(key, new Set([waiter]));
    else waiters.add(waiter);
  }

  private drop(key: string, waiter: Waiter): void {
    waiter.stop();
    const waiters = this.waiters.get(key);
    if (waiters?.delete(waiter) === true && waiters.size === 0) this.waiters.delete(key);
  }
}
