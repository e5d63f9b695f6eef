import type { JsonValue } from '@nestbox/core';
import type { Row } from '@nestbox/postgres';
import type { StoredEntry, StoredHistoryEntry } from '../kv.adapter.js';

/** Columns as every client gives them alike: JSON and int8 as text, times as milliseconds. */
export const ENTRY_COLUMNS = [
  't.key',
  't.value::text as value',
  't.version::text as version',
  millis('t.created_at', 'created_at'),
  millis('t.updated_at', 'updated_at'),
  millis('t.expires_at', 'expires_at'),
].join(', ');

export const HISTORY_COLUMNS = [
  't.version::text as version',
  't.value::text as value',
  't.deleted',
  millis('t.at', 'at'),
].join(', ');

/** What holds for the rows whose time is not up. */
export const LIVE = '(t.expires_at is null or t.expires_at > clock_timestamp())';

/** A time as milliseconds since the epoch. */
export function millis(column: string, name: string): string {
  return `(extract(epoch from ${column}) * 1000)::float8 as ${name}`;
}

export function toEntry(row: Row): StoredEntry {
  return {
    key: String(row['key']),
    value: parseJson(row['value']),
    version: toBigInt(row['version']),
    createdAt: toDate(row['created_at']),
    updatedAt: toDate(row['updated_at']),
    expiresAt: row['expires_at'] === null ? null : toDate(row['expires_at']),
  };
}

export function toHistory(key: string, row: Row): StoredHistoryEntry {
  const deleted = row['deleted'] === true;
  return {
    key,
    version: toBigInt(row['version']),
    ...(deleted ? undefined : { value: parseJson(row['value']) }),
    deleted,
    at: toDate(row['at']),
  };
}

export function parseJson(text: unknown): JsonValue {
  return JSON.parse(String(text)) as JsonValue;
}

export function toBigInt(value: unknown): bigint {
  return BigInt(String(value));
}

export function toDate(milliseconds: unknown): Date {
  return new Date(Number(milliseconds));
}
