import type { JsonObject, JsonValue } from '@nestbox/core';
import type { StoredMessage } from '../event-store.backend.js';

type Row = Record<string, unknown>;

/**
 * The columns of a message, under names that no client's transformation of names touches. JSON comes as text, since
 * clients that were passed in may parse it in ways of their own.
 */
export const MESSAGE_COLUMNS = `m.partition as part, m.stream_id as stream, m.stream_position as at,
  m.global_position as pos, m.message_id as id, m.message_type as type, m.message_data::text as data,
  m.message_metadata::text as meta, m.created_at as time`;

export function messageOf(row: Row): StoredMessage {
  const { meta } = row;
  return {
    partition: row['part'] as string,
    streamName: row['stream'] as string,
    streamPosition: toBigInt(row['at']),
    globalPosition: toBigInt(row['pos']),
    messageId: row['id'] as string,
    type: row['type'] as string,
    data: JSON.parse(row['data'] as string) as JsonValue,
    metadata: meta === null ? {} : (JSON.parse(meta as string) as JsonObject),
    createdAt: new Date(row['time'] as string | Date),
  };
}

/** Clients that were passed in give int8 as text. */
export function toBigInt(value: unknown): bigint {
  return typeof value === 'bigint' ? value : BigInt(value as string);
}
