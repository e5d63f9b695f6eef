import { Coalescer, UnsupportedOperationError } from '@nestbox/core';
import type { RedisScript } from '@nestbox/redis';
import type { EncodedEntry, EncodedOperation } from '../adapter-support.js';
import type { CommitResult } from '../kv.adapter.js';
import type { KeySpace } from './key-space.js';
import type { RedisAdapterSettings } from './redis-options.js';
import {
  decodeResult,
  encodeBatch,
  encodeSets,
  lifetimeOfSets,
  type WriteOperation,
  type Written,
} from './write-batch.js';

/**
 * Operations in a flush. Not more, so that fifty concurrent callers make two flushes: while Redis works on one, this
 * process encodes the other.
 */
const FLUSH_ITEMS = 25;

export interface WriteScripts {
  set: RedisScript;
  write: RedisScript;
}

/** Sends writes: single ones of concurrent callers together, batches on their own. */
export class RedisWriter {
  private readonly coalescers = new Map<number, Coalescer<WriteOperation, Written | Error>>();

  /**
   * @param inFlight flushes of one shard under way at the same time; 1 where only that keeps them in order
   * @param onWritten called after each batch
   */
  constructor(
    private readonly space: KeySpace,
    private readonly settings: RedisAdapterSettings,
    private readonly scripts: WriteScripts,
    private readonly inFlight: number,
    private readonly onWritten: () => void,
  ) {}

  /** One operation with the next flush. Resolves to an Error (such as VersionConflictError) where it was refused. */
  run(operation: WriteOperation): Promise<Written | Error> {
    return this.coalescer(this.space.shardOf(operation.key)).run(operation);
  }

  /** Resolves to the new version of each key. All or none of a shard's keys are set. */
  async setMany(entries: readonly EncodedEntry[], record: boolean): Promise<Map<string, bigint>> {
    const versions = new Map<string, bigint>();
    await this.runMany(
      entries.map((entry) => ({ type: 'set', ...entry, record })),
      ({ key }, { version }) => versions.set(key, version!),
    );
    return versions;
  }

  /** Resolves to how many there were. All or none of a shard's keys are deleted. */
  async deleteMany(keys: readonly string[], record: boolean): Promise<number> {
    let count = 0;
    await this.runMany(
      keys.map((key) => ({ type: 'delete', key, record })),
      (_, { done }) => {
        if (done) count++;
      },
    );
    return count;
  }

  /** @throws UnsupportedOperationError when the keys are of several shards; NotACounterError */
  async commit(operations: readonly EncodedOperation[], record: boolean): Promise<CommitResult> {
    const encoded = operations.map((operation): WriteOperation =>
      operation.type === 'check'
        ? { type: 'check', key: operation.key, expected: operation.version }
        : { ...operation, record },
    );
    // Checks first, since they are about what there was before.
    encoded.sort((a, b) => Number(b.type === 'check') - Number(a.type === 'check'));
    const [group, ...others] = this.byShard(encoded);
    if (group === undefined) return { ok: true, versions: new Map() };
    if (others.length > 0) throw severalShards();
    const results = await this.send(...group, 'all');
    const failed = new Set<string>();
    const versions = new Map<string, bigint>();
    let refusal: Error | undefined;
    results.forEach((result, i) => {
      const { type, key } = encoded[i]!;
      if (result instanceof Error) refusal ??= result;
      else if (result.version !== undefined) versions.set(key, result.version);
      else if (type === 'check' && result.done === false) failed.add(key);
    });
    if (failed.size > 0) return { ok: false, failed: [...failed] };
    if (refusal !== undefined) throw refusal;
    return { ok: true, versions };
  }

  /** Resolves when all writes have been settled. */
  async close(): Promise<void> {
    await Promise.all([...this.coalescers.values()].map((coalescer) => coalescer.close()));
  }

  /** One shard after the other. */
  private async runMany(
    operations: readonly WriteOperation[],
    onWritten: (operation: WriteOperation, written: Written) => void,
  ): Promise<void> {
    for (const [shard, group] of this.byShard(operations)) {
      const results = await this.send(shard, group, 'all');
      results.forEach((result, i) => {
        if (result instanceof Error) throw result;
        onWritten(group[i]!, result);
      });
    }
  }

  private byShard(operations: readonly WriteOperation[]): Map<number, WriteOperation[]> {
    const groups = new Map<number, WriteOperation[]>();
    for (const operation of operations) {
      const shard = this.space.shardOf(operation.key);
      const group = groups.get(shard);
      if (group === undefined) groups.set(shard, [operation]);
      else group.push(operation);
    }
    return groups;
  }

  private coalescer(shard: number): Coalescer<WriteOperation, Written | Error> {
    let coalescer = this.coalescers.get(shard);
    if (coalescer === undefined) {
      coalescer = new Coalescer({
        name: 'RedisAdapter',
        flush: (operations) => this.send(shard, operations, 'each'),
        size: (operation) => (operation.type === 'set' ? operation.json.length : 0),
        maxItems: FLUSH_ITEMS,
        maxInFlight: this.inFlight,
      });
      this.coalescers.set(shard, coalescer);
    }
    return coalescer;
  }

  private async send(
    shard: number,
    operations: readonly WriteOperation[],
    mode: 'each' | 'all',
  ): Promise<(Written | Error)[]> {
    const results = (await this.runScript(shard, operations, mode)) as unknown[];
    this.onWritten();
    return results.map((result, i) => decodeResult(operations[i]!, result));
  }

  private runScript(
    shard: number,
    operations: readonly WriteOperation[],
    mode: 'each' | 'all',
  ): Promise<unknown> {
    const { space, settings } = this;
    const lifetime = mode === 'each' ? lifetimeOfSets(operations) : undefined;
    if (lifetime !== undefined) {
      const { keys, args } = encodeSets(space, settings, shard, operations, lifetime);
      return this.scripts.set.run(keys, args);
    }
    const { keys, args } = encodeBatch(space, settings, shard, operations, mode);
    return this.scripts.write.run(keys, args);
  }
}

function severalShards(): UnsupportedOperationError {
  return new UnsupportedOperationError(
    'A commit of keys in different shards',
    'Redis Cluster',
    'Put the same tag in braces into keys that are changed together, such as "{order:1}:head" and "{order:1}:lines", ' +
      'or create the adapter with { shards: 1 }.',
  );
}
