import { type JsonObject, type JsonValue, RowTable, type RowLayer } from '@nestbox/core';
import type { ProcessorStatus } from '../consumers/processor.backend.js';
import type { StoredMessage, StreamState } from '../event-store.backend.js';

// JSON is kept as text: so nobody shares an object with the store, and what is read is what PostgreSQL would give.

export interface StreamRow {
  readonly partition: string;
  readonly streamName: string;
  readonly category: string;
  readonly version: bigint;
  readonly state: StreamState;
  /** The global position of the last event. */
  readonly position: bigint;
}

export interface MessageRow {
  readonly partition: string;
  readonly streamName: string;
  readonly category: string;
  readonly streamPosition: bigint;
  readonly globalPosition: bigint;
  readonly messageId: string;
  readonly type: string;
  readonly data: string;
  readonly metadata: string;
  readonly createdAtMs: number;
}

export interface SnapshotRow {
  readonly partition: string;
  readonly streamName: string;
  readonly version: bigint;
  readonly state: string;
}

export interface CheckpointRow {
  readonly processorId: string;
  readonly partition: string;
  readonly shard: number;
  readonly shards: number;
  readonly position: bigint;
  readonly status: ProcessorStatus;
  readonly error: string | undefined;
  readonly updatedAtMs: number;
}

export interface ParkedRow {
  readonly processorId: string;
  readonly partition: string;
  readonly message: MessageRow;
  readonly attempts: number;
  readonly error: string;
  readonly parkedAtMs: number;
  readonly requests: number;
}

export interface DocumentRow {
  readonly partition: string;
  readonly id: string;
  readonly data: string;
  readonly version: bigint;
}

/** By partition. */
export const PARTITIONS = new RowTable<{ readonly partition: string }>('partitions');
/** By partition and stream. */
export const STREAMS = new RowTable<StreamRow>('streams');
/** By global position. */
export const LOG = new RowTable<MessageRow, number>('log');
/** By partition, stream and position in the stream. */
export const EVENTS = new RowTable<MessageRow>('events');
/** By partition, stream and message id; of messages whose id the caller chose. */
export const MESSAGE_IDS = new RowTable<MessageRow>('message ids');
/** By partition, stream, name and version of the schema. */
export const SNAPSHOTS = new RowTable<SnapshotRow>('snapshots');
/** By processor, partition and shard. */
export const CHECKPOINTS = new RowTable<CheckpointRow>('checkpoints');
/** By processor, partition and global position. */
export const PARKED = new RowTable<ParkedRow>('parked');
/** By collection; the number that tells where its documents are. */
export const COLLECTIONS = new RowTable<number>('collections');
/** Numbers that grow: `position`, the highest global position; `collection`, the last number of a collection. */
export const COUNTERS = new RowTable<bigint>('counters');

/** No name contains NUL, so that no two lists of them give the same key. */
export function keyOf(...parts: readonly (string | number | bigint)[]): string {
  return parts.join('\0');
}

/** Draws the next number of a counter. The first is 1. */
export function drawNext(tables: RowLayer, counter: 'position' | 'collection'): bigint {
  const next = (tables.get(COUNTERS, counter) ?? 0n) + 1n;
  tables.set(COUNTERS, counter, next);
  return next;
}

export function lastPosition(tables: RowLayer): bigint {
  return tables.get(COUNTERS, 'position') ?? 0n;
}

export function messageOfRow(row: MessageRow): StoredMessage {
  return {
    partition: row.partition,
    streamName: row.streamName,
    streamPosition: row.streamPosition,
    globalPosition: row.globalPosition,
    messageId: row.messageId,
    type: row.type,
    data: JSON.parse(row.data) as JsonValue,
    metadata: JSON.parse(row.metadata) as JsonObject,
    createdAt: new Date(row.createdAtMs),
  };
}
