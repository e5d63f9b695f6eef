import type { JsonValue } from '@nestbox/core';
import type { StoredEntry, StoredHistoryEntry } from '../kv.adapter.js';
import type { HeldEntry, HeldHistory } from './local-state.js';

/** An entry as the port gives it, its value the caller's own. */
export function toStoredEntry([key, entry]: [string, HeldEntry]): StoredEntry {
  return {
    key,
    value: JSON.parse(entry.json) as JsonValue,
    version: entry.version,
    createdAt: new Date(entry.createdAt),
    updatedAt: new Date(entry.updatedAt),
    expiresAt: entry.expiresAt === null ? null : new Date(entry.expiresAt),
  };
}

/** A state as the port gives it, its value the caller's own. */
export function toStoredHistory(key: string, { version, json, at }: HeldHistory): StoredHistoryEntry {
  return {
    key,
    version,
    ...(json === undefined ? undefined : { value: JSON.parse(json) as JsonValue }),
    deleted: json === undefined,
    at: new Date(at),
  };
}
