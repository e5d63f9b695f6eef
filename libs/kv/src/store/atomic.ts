import { InvalidArgumentError, assertJson } from '@nestbox/core';
import { assertExpectedVersion } from '../adapter-support.js';
import { wholeNumber } from './counting.js';
import type { CommitResult, ExpectedVersion, KvOperation } from '../kv.adapter.js';
import type { StoreContext } from './store-context.js';
import type { IncrementOptions, TimeToLive } from '../kv.types.js';

/**
 * Checks and writes that happen together or not at all. A key may be checked and written, but written once only.
 *
 * On a Redis cluster all keys must share a hash tag (`{cart:7}:items`), else `commit` throws
 * UnsupportedOperationError.
 */
export class AtomicOperation<T = unknown> {
  private readonly operations: KvOperation[] = [];
  private readonly written = new Set<string>();

  /** Create it with `store.atomic()`. */
  constructor(private readonly context: StoreContext) {}

  /** The entry has to be at this version, or (`'absent'`) there has to be none. */
  check(key: string, version: ExpectedVersion): this {
    const outer = this.context.space.outer(key);
    if (version === undefined)
      throw new InvalidArgumentError('version', "must be a bigint such as 1n, or 'absent'.");
    assertExpectedVersion(version, 'version');
    this.operations.push({ type: 'check', key: outer, version });
    return this;
  }

  set(key: string, value: T, { ttl }: { ttl?: TimeToLive } = {}): this {
    const outer = this.toWrite(key);
    assertJson(value);
    this.operations.push({
      type: 'set',
      key: outer,
      value: structuredClone(value),
      expiry: this.context.expiry(ttl),
    });
    return this;
  }

  delete(key: string): this {
    this.operations.push({ type: 'delete', key: this.toWrite(key) });
    return this;
  }

  increment(key: string, by: number | bigint = 1, { ttl }: IncrementOptions = {}): this {
    const outer = this.toWrite(key);
    const amount = wholeNumber(by, 'by');
    this.operations.push({ type: 'increment', key: outer, by: amount, expiry: this.context.expiry(ttl) });
    return this;
  }

  /**
   * Makes all checks and, when they hold, all writes. `versions` has the new version of each key that was set or
   * incremented; `failed` has the keys whose check did not hold.
   *
   * @throws NotACounterError, UnsupportedOperationError, KvOperationError; then nothing was written
   */
  async commit(): Promise<CommitResult> {
    const { adapter, space, recording } = this.context;
    const result = await this.context.write([...this.written], () =>
      adapter.commit([...this.operations], recording),
    );
    if (!result.ok) return { ok: false, failed: result.failed.map((key) => space.local(key)) };
    return {
      ok: true,
      versions: new Map([...result.versions].map(([key, version]) => [space.local(key), version])),
    };
  }

  private toWrite(key: string): string {
    const outer = this.context.space.outer(key);
    if (this.written.has(outer)) {
      throw new InvalidArgumentError(
        'key',
        `"${key}" is written twice in one atomic operation; write a key once.`,
      );
    }
    this.written.add(outer);
    return outer;
  }
}
