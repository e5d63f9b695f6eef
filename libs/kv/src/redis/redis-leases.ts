import { randomUUID } from 'node:crypto';
import { ClosedError, parseDuration } from '@nestbox/core';
import type { RedisScript } from '@nestbox/redis';
import { naming, optionalMs } from '../adapter-support.js';
import type { AdapterLeaseOptions, KvLease } from '../kv.adapter.js';
import { LeaseHeldError, LeaseLostError } from '../kv.errors.js';
import type { KeySpace } from './key-space.js';

/** How often someone who waits looks whether the lease was released; when its time is up, it looks at once. */
const MIN_WAIT_MS = 10;
const MAX_WAIT_MS = 200;

export interface LeaseScripts {
  acquire: RedisScript;
  renew: RedisScript;
  release: RedisScript;
}

/** Leases by Redis' clock. */
export class RedisLeases {
  private readonly closing = new AbortController();

  constructor(
    private readonly what: string,
    private readonly space: KeySpace,
    private readonly scripts: LeaseScripts,
  ) {}

  /** As KvAdapter.lease says; the key has been checked. */
  async acquire(key: string, { ttl, wait, signal }: AdapterLeaseOptions): Promise<KvLease> {
    const ttlMs = parseDuration(ttl, 'ttl');
    const waitMs = optionalMs(wait, 'wait') ?? 0;
    const deadline = performance.now() + waitMs;
    const owner = randomUUID();
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted();
      // The time to live starts when Redis has the request, which is later.
      const asked = performance.now();
      const [taken, detail] = await this.take(key, owner, ttlMs);
      if (Number(taken) === 1) {
        const token = BigInt(detail as string);
        return new RedisLease(key, token, ttlMs, asked + ttlMs, this.scripts, this.space.lease(key), owner);
      }
      const remaining = deadline - performance.now();
      if (remaining <= 0) throw new LeaseHeldError(key);
      const poll =
        Math.min(MAX_WAIT_MS, MIN_WAIT_MS * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2);
      await this.pause(Math.min(remaining, poll, Math.max(1, Number(detail))), signal);
    }
  }

  /** Those who wait are refused; leases that are held stay until their time is up. */
  close(): void {
    this.closing.abort(new ClosedError(this.what));
  }

  private async take(key: string, owner: string, ttlMs: number): Promise<unknown[]> {
    const { meta } = this.space.shard(this.space.shardOf(key));
    const run = () => this.scripts.acquire.run([this.space.lease(key), meta], [owner, ttlMs]);
    return (await naming(`lease "${key}"`, run, key)) as unknown[];
  }

  private async pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const signals = signal === undefined ? [this.closing.signal] : [this.closing.signal, signal];
    for (const { aborted, reason } of signals) if (aborted) throw reason;
    await new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        for (const each of signals) each.removeEventListener('abort', settle);
        const ended = signals.find(({ aborted }) => aborted);
        if (ended === undefined) resolve();
        else reject(ended.reason as Error);
      };
      const timer = setTimeout(settle, ms);
      for (const each of signals) each.addEventListener('abort', settle, { once: true });
    });
  }
}

class RedisLease implements KvLease {
  private ended = false;

  constructor(
    readonly key: string,
    readonly fencingToken: bigint,
    private readonly ttlMs: number,
    private until: number,
    private readonly scripts: LeaseScripts,
    private readonly name: string,
    private readonly owner: string,
  ) {}

  get held(): boolean {
    return !this.ended && performance.now() < this.until;
  }

  async renew(): Promise<void> {
    // Once it was over for its holder it stays over, even if nobody else has taken it.
    if (!this.held) throw new LeaseLostError(this.key);
    const asked = performance.now();
    const renewed = await this.run('renew', this.scripts.renew, [this.ttlMs]);
    if (!renewed) {
      this.ended = true;
      throw new LeaseLostError(this.key);
    }
    if (this.held) this.until = asked + this.ttlMs;
  }

  async release(): Promise<boolean> {
    if (this.ended) return false;
    this.ended = true;
    return this.run('release', this.scripts.release, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  private async run(verb: string, script: RedisScript, args: number[]): Promise<boolean> {
    const holder = `${this.owner} ${this.fencingToken}`;
    const run = () => script.run([this.name], [holder, ...args]);
    return Number(await naming(`${verb} lease "${this.key}"`, run, this.key)) === 1;
  }
}
