import { type RowLayer } from '@nestbox/core';
import { randomUUID } from 'node:crypto';
import type { AppendOutcome, AppendRequest, NewMessage } from '../event-store.backend.js';
import { PartitionNotFoundError } from '../event-store.errors.js';
import { STREAM_DELETED, type ExpectedStreamVersion } from '../event.types.js';
import {
  EVENTS,
  LOG,
  MESSAGE_IDS,
  PARKED,
  PARTITIONS,
  SNAPSHOTS,
  STREAMS,
  drawNext,
  keyOf,
  type MessageRow,
  type StreamRow,
} from './memory.tables.js';

/** @throws PartitionNotFoundError */
export function appendAll(tables: RowLayer, requests: readonly AppendRequest[]): AppendOutcome[] {
  for (const { partition } of requests) {
    if (tables.get(PARTITIONS, partition) === undefined) throw new PartitionNotFoundError(partition);
  }
  return requests.map((request) => append(tables, request));
}

function append(tables: RowLayer, request: AppendRequest): AppendOutcome {
  const { partition, streamName, category, expected, messages } = request;
  const stream = tables.get(STREAMS, keyOf(partition, streamName));
  if (stream?.state === 'deleted') return { kind: 'deleted' };
  const seen = outcomeOfSeen(tables, request);
  if (seen !== undefined) return seen;
  if (stream?.state === 'archived') return { kind: 'archived' };
  const current = stream?.version ?? 0n;
  if (!isAsExpected(expected, current)) return { kind: 'conflict', current };

  const createdAtMs = Date.now();
  const rows = messages.map((message, i) =>
    insert(tables, { partition, streamName, category }, current + BigInt(i) + 1n, message, createdAtMs),
  );
  const last = rows.at(-1)!;
  tables.set(STREAMS, keyOf(partition, streamName), {
    partition,
    streamName,
    category: stream?.category ?? category,
    version: last.streamPosition,
    state: 'open',
    position: last.globalPosition,
  });
  return {
    kind: 'appended',
    version: last.streamPosition,
    positions: rows.map((row) => row.globalPosition),
    createdAt: new Date(createdAtMs),
  };
}

/** What becomes of messages that are there already; undefined when none is. */
function outcomeOfSeen(
  tables: RowLayer,
  { partition, streamName, messages }: AppendRequest,
): AppendOutcome | undefined {
  const seen = messages
    .filter((message) => message.hasOwnId)
    .map((message) => tables.get(MESSAGE_IDS, keyOf(partition, streamName, message.messageId)))
    .filter((row) => row !== undefined);
  if (seen.length === 0) return undefined;
  if (seen.length < messages.length) return { kind: 'overlap', messageId: seen[0]!.messageId };
  const last = seen.reduce((a, b) => (b.streamPosition > a.streamPosition ? b : a));
  return { kind: 'repeated', version: last.streamPosition, position: last.globalPosition };
}

function insert(
  tables: RowLayer,
  stream: Pick<StreamRow, 'partition' | 'streamName' | 'category'>,
  streamPosition: bigint,
  message: NewMessage,
  createdAtMs: number,
): MessageRow {
  const { partition, streamName } = stream;
  const row: MessageRow = {
    ...stream,
    streamPosition,
    globalPosition: drawNext(tables, 'position'),
    messageId: message.messageId,
    type: message.type,
    data: JSON.stringify(message.data),
    metadata: JSON.stringify(message.metadata),
    createdAtMs,
  };
  tables.set(LOG, Number(row.globalPosition), row);
  if (row.type !== STREAM_DELETED) tables.set(EVENTS, keyOf(partition, streamName, streamPosition), row);
  if (message.hasOwnId) tables.set(MESSAGE_IDS, keyOf(partition, streamName, row.messageId), row);
  return row;
}

export function isAsExpected(expected: ExpectedStreamVersion, current: bigint): boolean {
  switch (expected) {
    case 'NO_CONCURRENCY_CHECK':
      return true;
    case 'STREAM_EXISTS':
      return current > 0n;
    case 'STREAM_DOES_NOT_EXIST':
      return current === 0n;
    default:
      return current === expected;
  }
}

/** @see EventStoreBackend.deleteStream */
export function deleteStream(
  tables: RowLayer,
  partition: string,
  streamName: string,
  expected: ExpectedStreamVersion,
): { deleted: boolean } | { conflict: bigint } {
  const stream = tables.get(STREAMS, keyOf(partition, streamName));
  const current = stream === undefined || stream.state === 'deleted' ? 0n : stream.version;
  if (!isAsExpected(expected, current)) return { conflict: current };
  if (stream === undefined || current === 0n) return { deleted: false };
  for (let position = 1n; position <= current; position++) {
    const key = keyOf(partition, streamName, position);
    const row = tables.get(EVENTS, key)!;
    tables.delete(EVENTS, key);
    tables.delete(MESSAGE_IDS, keyOf(partition, streamName, row.messageId));
    tables.delete(LOG, Number(row.globalPosition));
  }
  const isOfStream = (row: { partition: string; streamName: string }): boolean =>
    row.partition === partition && row.streamName === streamName;
  tables.deleteWhere(PARKED, ({ message }) => isOfStream(message));
  tables.deleteWhere(SNAPSHOTS, isOfStream);
  const tombstone = {
    type: STREAM_DELETED,
    messageId: randomUUID(),
    hasOwnId: false,
    data: {},
    metadata: {},
  };
  insert(tables, stream, current + 1n, tombstone, Date.now());
  tables.set(STREAMS, keyOf(partition, streamName), {
    ...stream,
    state: 'deleted',
    version: current + 1n,
    position: 0n,
  });
  return { deleted: true };
}
