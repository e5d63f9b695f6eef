import type { ReadEvent } from '@nestbox/event-store';
import { formatTime, formatValue } from '../../output/format.js';
import type { Column } from '../../output/table.js';

/** An event as a line of JSON has it. */
export interface EventLine {
  readonly globalPosition: bigint;
  readonly streamName: string;
  readonly streamPosition: bigint;
  readonly type: string;
  readonly data: unknown;
  readonly metadata: object;
  readonly messageId: string;
  readonly createdAt: Date;
  readonly partition: string;
}

export function lineOf({ type, data, metadata }: ReadEvent): EventLine {
  const { globalPosition, streamName, streamPosition, messageId, createdAt, partition, ...own } = metadata;
  return {
    globalPosition,
    streamName,
    streamPosition,
    type,
    data,
    metadata: own,
    messageId,
    createdAt,
    partition,
  };
}

/** Of one stream. */
export const STREAM_COLUMNS: readonly Column[] = [
  { header: 'VERSION', align: 'right' },
  { header: 'POSITION', align: 'right' },
  { header: 'CREATED' },
  { header: 'TYPE', isFlexible: true },
  { header: 'DATA', isFlexible: true },
];

export function streamRow({ type, data, metadata }: ReadEvent): string[] {
  const { streamPosition, globalPosition, createdAt } = metadata;
  return [String(streamPosition), String(globalPosition), formatTime(createdAt), type, formatValue(data)];
}

/** Of the log. */
export const LOG_COLUMNS: readonly Column[] = [
  { header: 'POSITION', align: 'right' },
  { header: 'CREATED' },
  { header: 'STREAM', isFlexible: true },
  { header: 'TYPE', isFlexible: true },
  { header: 'DATA', isFlexible: true },
];

export function logRow({ type, data, metadata }: ReadEvent): string[] {
  const { streamName, globalPosition, createdAt } = metadata;
  return [String(globalPosition), formatTime(createdAt), streamName, type, formatValue(data)];
}
