import { compareUtf8, type RowLayer } from '@nestbox/core';
import type {
  LogQuery,
  StoredMessage,
  StreamInfo,
  StreamQuery,
  StreamSlice,
  StreamState,
} from '../event-store.backend.js';
import { STREAM_DELETED } from '../event.types.js';
import { EVENTS, LOG, STREAMS, keyOf, lastPosition, messageOfRow, type MessageRow } from './memory.tables.js';

export function readStream(
  tables: RowLayer,
  { partition, streamName, from, to, maxCount, backwards }: StreamQuery,
): StreamSlice {
  const { state, version } = streamState(tables, partition, streamName);
  const messages: StoredMessage[] = [];
  const lowest = from > 1n ? from : 1n;
  const highest = to !== undefined && to < version ? to : version;
  const step = backwards ? -1n : 1n;
  let position = backwards ? highest : lowest;
  while (position >= lowest && position <= highest && messages.length < (maxCount ?? Infinity)) {
    const row = tables.get(EVENTS, keyOf(partition, streamName, position));
    if (row !== undefined) messages.push(messageOfRow(row));
    position += step;
  }
  return { state, version, messages };
}

export function streamState(
  tables: RowLayer,
  partition: string,
  streamName: string,
): { state: StreamState; version: bigint; position: bigint } {
  const row = tables.get(STREAMS, keyOf(partition, streamName));
  return row === undefined
    ? { state: 'absent', version: 0n, position: 0n }
    : { state: row.state, version: row.version, position: row.position };
}

export function listStreams(
  tables: RowLayer,
  {
    partition,
    category,
    prefix,
    after,
    limit,
  }: {
    partition: string;
    category: string | undefined;
    prefix: string;
    after: string | undefined;
    limit: number;
  },
): StreamInfo[] {
  return [...tables.rows(STREAMS)]
    .filter(
      (row) =>
        row.partition === partition &&
        (category === undefined || row.category === category) &&
        row.streamName.startsWith(prefix) &&
        (after === undefined || compareUtf8(row.streamName, after) > 0),
    )
    .sort((a, b) => compareUtf8(a.streamName, b.streamName))
    .slice(0, limit)
    .map((row) => ({
      streamName: row.streamName,
      category: row.category,
      version: row.version,
      state: row.state,
    }));
}

export function setArchived(
  tables: RowLayer,
  partition: string,
  streamName: string,
  archived: boolean,
): boolean {
  const key = keyOf(partition, streamName);
  const row = tables.get(STREAMS, key);
  if (row === undefined || row.state === 'deleted') return false;
  tables.set(STREAMS, key, { ...row, state: archived ? 'archived' : 'open' });
  return true;
}

export function readLog(
  tables: RowLayer,
  { after, upTo, limit, partition, types, withDeleted, category, shard }: LogQuery,
): StoredMessage[] {
  const isWanted = (row: MessageRow): boolean =>
    (partition === undefined || row.partition === partition) &&
    (types === undefined ? withDeleted === true || row.type !== STREAM_DELETED : types.includes(row.type)) &&
    (category === undefined || row.category === category) &&
    (shard === undefined || hashOf(row) % shard.count === shard.index);
  const messages: StoredMessage[] = [];
  for (const row of logBehind(tables, after, upTo)) {
    if (messages.length >= limit) break;
    if (isWanted(row)) messages.push(messageOfRow(row));
  }
  return messages;
}

/** The messages behind a position, in order. */
export function* logBehind(tables: RowLayer, after: bigint, upTo?: bigint): Generator<MessageRow> {
  const head = lastPosition(tables);
  const end = upTo !== undefined && upTo < head ? upTo : head;
  for (let position = (after < 0n ? 0n : after) + 1n; position <= end; position++) {
    const row = tables.get(LOG, Number(position));
    if (row !== undefined) yield row;
  }
}

/** The position of the last message that is there, at or below `upTo`; 0 when there is none. */
export function headOf(tables: RowLayer, upTo?: bigint): bigint {
  const last = lastPosition(tables);
  let position = upTo !== undefined && upTo < last ? upTo : last;
  while (position > 0n && tables.get(LOG, Number(position)) === undefined) position--;
  return position < 0n ? 0n : position;
}

/** FNV-1a over a stream's partition and name. */
function hashOf({ partition, streamName }: MessageRow): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(keyOf(partition, streamName))) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash;
}
