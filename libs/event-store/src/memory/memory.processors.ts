import { randomUUID } from 'node:crypto';
import { compareUtf8, type RowLayer } from '@nestbox/core';
import {
  ALL_PARTITIONS,
  type Checkpoint,
  type CheckpointKey,
  type Fence,
  type ParkedMessage,
  type ProcessorBackend,
  type ProcessorKey,
  type ProcessorLease,
  type ProcessorStatus,
  type SaveResult,
} from '../consumers/processor.backend.js';
import type { StoredMessage } from '../event-store.backend.js';
import { PartitionNotFoundError } from '../event-store.errors.js';
import { STREAM_DELETED } from '../event.types.js';
import type { MemoryDatabase } from './memory.database.js';
import { MemoryLeases } from './memory.leases.js';
import { logBehind } from './memory.streams.js';
import {
  CHECKPOINTS,
  LOG,
  PARKED,
  PARTITIONS,
  keyOf,
  messageOfRow,
  type CheckpointRow,
  type ParkedRow,
} from './memory.tables.js';

/** Checkpoints and parked messages in this process. */
export class MemoryProcessors implements ProcessorBackend {
  private readonly leases = new MemoryLeases();

  constructor(private readonly database: MemoryDatabase) {}

  register(key: ProcessorKey, shards: number, position: bigint): Promise<readonly Checkpoint[]> {
    return this.database.write((tables) => {
      if (checkpointsOf(tables, key).length === 0) create(tables, key, shards, position);
      return checkpointsOf(tables, key).map((row) => checkpointOf(tables, row));
    });
  }

  read(key: ProcessorKey): Promise<readonly Checkpoint[]> {
    return this.database.read((tables) => checkpointsOf(tables, key).map((row) => checkpointOf(tables, row)));
  }

  list(): Promise<readonly Checkpoint[]> {
    return this.database.read((tables) =>
      [...tables.rows(CHECKPOINTS)].sort(byKey).map((row) => checkpointOf(tables, row)),
    );
  }

  save(key: CheckpointKey, from: bigint, to: bigint, fence: Fence): Promise<SaveResult> {
    return this.database.write((tables) => {
      this.leases.assertHeld(fence);
      const row = tables.get(CHECKPOINTS, keyOf(key.processorId, key.partition, key.shard));
      if (row?.position !== from) return { saved: false };
      put(tables, { ...row, position: to });
      return { saved: true, status: row.status };
    });
  }

  setStatus(key: ProcessorKey, status: ProcessorStatus, error?: string): Promise<boolean> {
    return this.change(key, (row) => ({ ...row, status, error }));
  }

  reset(key: ProcessorKey, position: bigint): Promise<boolean> {
    return this.change(key, (row) => ({ ...row, position }));
  }

  reshard(key: ProcessorKey, shards: number, position: bigint): Promise<void> {
    return this.database.write((tables) => {
      const [old] = checkpointsOf(tables, key);
      tables.deleteWhere(CHECKPOINTS, (row) => isOf(row, key));
      create(tables, key, shards, position, old);
    });
  }

  lock(key: ProcessorKey): Promise<readonly Checkpoint[]> {
    return this.database.writeInTransaction('Locking checkpoints', (tables) =>
      checkpointsOf(tables, key).map((row) => checkpointOf(tables, row)),
    );
  }

  remove(key: ProcessorKey): Promise<boolean> {
    return this.database.write((tables) => {
      tables.deleteWhere(PARKED, (row) => isOf(row, key));
      return tables.deleteWhere(CHECKPOINTS, (row) => isOf(row, key)) > 0;
    });
  }

  /** The time to live means nothing here: in one process, leases end by being released. */
  lease(name: string, _ttlMs: number, signal: AbortSignal): Promise<ProcessorLease> {
    return this.leases.acquire(name, signal);
  }

  join(key: ProcessorKey, _ttlMs: number): Promise<ProcessorLease> {
    return this.leases.acquire(instanceName(key, randomUUID()), new AbortController().signal);
  }

  async countInstances(key: ProcessorKey): Promise<number> {
    return this.leases.count(instanceName(key, ''));
  }

  tryLease(name: string, _ttlMs: number): Promise<ProcessorLease | undefined> {
    return this.leases.tryAcquire(name);
  }

  async assertHeld(fence: Fence): Promise<void> {
    this.leases.assertHeld(fence);
  }

  park(
    key: ProcessorKey,
    message: StoredMessage,
    attempts: number,
    error: string,
    answered = Infinity,
  ): Promise<void> {
    return this.database.write((tables) => {
      const logged = tables.get(LOG, Number(message.globalPosition));
      // Its stream was deleted meanwhile.
      if (logged === undefined) return;
      const at = keyOf(key.processorId, key.partition, message.globalPosition);
      tables.set(PARKED, at, {
        processorId: key.processorId,
        partition: key.partition,
        message: logged,
        attempts,
        error,
        parkedAtMs: Date.now(),
        requests: Math.max(0, (tables.get(PARKED, at)?.requests ?? 0) - answered),
      });
    });
  }

  parked(
    key: ProcessorKey,
    { after, limit }: { after: bigint; limit: number },
  ): Promise<readonly ParkedMessage[]> {
    return this.database.read((tables) =>
      parkedOf(tables, key)
        .filter(({ message }) => message.globalPosition > after)
        .slice(0, limit)
        .map(parkedMessageOf),
    );
  }

  unpark(key: ProcessorKey, position: bigint): Promise<boolean> {
    return this.database.write((tables) => {
      const at = keyOf(key.processorId, key.partition, position);
      const was = tables.get(PARKED, at) !== undefined;
      if (was) tables.delete(PARKED, at);
      return was;
    });
  }

  unparkAll(key: ProcessorKey): Promise<number> {
    return this.database.write((tables) => tables.deleteWhere(PARKED, (row) => isOf(row, key)));
  }

  requestReplay(key: ProcessorKey, positions: readonly bigint[] | undefined): Promise<number> {
    return this.database.write((tables) => {
      const wanted = parkedOf(tables, key).filter(
        ({ message }) => positions === undefined || positions.includes(message.globalPosition),
      );
      for (const row of wanted) {
        const at = keyOf(row.processorId, row.partition, row.message.globalPosition);
        tables.set(PARKED, at, { ...row, requests: row.requests + 1 });
      }
      return wanted.length;
    });
  }

  replays(key: ProcessorKey, limit: number): Promise<readonly ParkedMessage[]> {
    return this.database.read((tables) =>
      parkedOf(tables, key)
        .filter((row) => row.requests > 0)
        .slice(0, limit)
        .map(parkedMessageOf),
    );
  }

  countParked(): Promise<readonly (ProcessorKey & { readonly count: number })[]> {
    return this.database.read((tables) => {
      const counts = new Map<string, ProcessorKey & { count: number }>();
      for (const { processorId, partition } of tables.rows(PARKED)) {
        const key = keyOf(processorId, partition);
        counts.set(key, { processorId, partition, count: (counts.get(key)?.count ?? 0) + 1 });
      }
      return [...counts.values()].sort(byKey);
    });
  }

  ageAfter({ partition }: ProcessorKey, position: bigint): Promise<number | undefined> {
    return this.database.read((tables) => {
      for (const row of logBehind(tables, position)) {
        if (row.type === STREAM_DELETED) continue;
        if (partition !== ALL_PARTITIONS && row.partition !== partition) continue;
        return Math.max(0, Date.now() - row.createdAtMs);
      }
      return undefined;
    });
  }

  /** @returns false when there is nothing to change */
  private change(key: ProcessorKey, fn: (row: CheckpointRow) => CheckpointRow): Promise<boolean> {
    return this.database.write((tables) => {
      const rows = checkpointsOf(tables, key);
      for (const row of rows) put(tables, fn(row));
      return rows.length > 0;
    });
  }
}

function instanceName({ processorId, partition }: ProcessorKey, id: string): string {
  return keyOf('instance', processorId, partition, id);
}

function create(
  tables: RowLayer,
  { processorId, partition }: ProcessorKey,
  shards: number,
  position: bigint,
  old?: CheckpointRow,
): void {
  if (partition !== ALL_PARTITIONS && tables.get(PARTITIONS, partition) === undefined) {
    throw new PartitionNotFoundError(partition);
  }
  const status = old?.status ?? 'active';
  for (let shard = 0; shard < shards; shard++) {
    put(tables, { processorId, partition, shard, shards, position, status, error: old?.error });
  }
}

function put(tables: RowLayer, row: Omit<CheckpointRow, 'updatedAtMs'>): void {
  const key = keyOf(row.processorId, row.partition, row.shard);
  tables.set(CHECKPOINTS, key, { ...row, updatedAtMs: Date.now() });
}

function checkpointsOf(tables: RowLayer, key: ProcessorKey): CheckpointRow[] {
  return [...tables.rows(CHECKPOINTS)].filter((row) => isOf(row, key)).sort(byKey);
}

function parkedOf(tables: RowLayer, key: ProcessorKey): ParkedRow[] {
  return [...tables.rows(PARKED)]
    .filter((row) => isOf(row, key))
    .sort((a, b) => Number(a.message.globalPosition - b.message.globalPosition));
}

function isOf(row: ProcessorKey, key: ProcessorKey): boolean {
  return row.processorId === key.processorId && row.partition === key.partition;
}

function byKey(a: ProcessorKey & { shard?: number }, b: ProcessorKey & { shard?: number }): number {
  return (
    compareUtf8(a.processorId, b.processorId) ||
    compareUtf8(a.partition, b.partition) ||
    (a.shard ?? 0) - (b.shard ?? 0)
  );
}

function checkpointOf(tables: RowLayer, { updatedAtMs, ...row }: CheckpointRow): Checkpoint {
  const wantsReplay = parkedOf(tables, row).some(({ requests }) => requests > 0);
  return { ...row, wantsReplay, updatedAt: new Date(updatedAtMs) };
}

function parkedMessageOf({
  processorId,
  partition,
  message,
  attempts,
  error,
  requests,
  parkedAtMs,
}: ParkedRow): ParkedMessage {
  return {
    processorId,
    partition,
    message: messageOfRow(message),
    attempts,
    error,
    requests,
    parkedAt: new Date(parkedAtMs),
  };
}
