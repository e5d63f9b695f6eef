import type { Lease } from '@nestbox/postgres';
import type { Checkpoint, ProcessorLease, ProcessorStatus } from '../consumers/processor.backend.js';
import { toBigInt } from './message-rows.js';

type Row = Record<string, unknown>;

/** By code: an application may have two copies of a package. */
export function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code;
}

export function asProcessorLease(lease: Lease, ttlMs: number): ProcessorLease {
  return {
    fence: { name: lease.name, epoch: lease.epoch, ttlMs },
    get held() {
      return lease.held;
    },
    signal: lease.signal,
    release: async () => lease[Symbol.asyncDispose](),
  };
}

export function checkpointOf(row: Row): Checkpoint {
  return {
    processorId: row['id'] as string,
    partition: row['part'] as string,
    shard: Number(row['shard']),
    shards: Number(row['shards']),
    position: toBigInt(row['pos']),
    status: row['status'] as ProcessorStatus,
    error: (row['error'] as string | null) ?? undefined,
    wantsReplay: row['wanted'] === true,
    updatedAt: new Date(row['time'] as string | Date),
  };
}
