import type { JsonValue } from '@nestbox/core';
import type { StoredChange, StoredEntry, StoredHistoryEntry } from '../kv.adapter.js';

/*
 * What Redis holds, as text:
 *
 *   kv1;<version>;<createdAt>;<updatedAt>;<expiresAt or nothing>;<JSON>   an entry, in its key, the changes, the history
 *   d;<version>;<at>                                                      a deletion, in the changes and the history
 *   x;<version>;<at>                                                      an expiry, in the changes
 *
 * Times are in ms since the epoch. The scripts write the same.
 */
const MAGIC = 'kv1;';

/** The value of an entry. @throws Error naming the key when the text is not an entry */
export function parseValue(key: string, text: string): JsonValue {
  if (!text.startsWith(MAGIC)) throw foreign(key);
  let at = MAGIC.length;
  for (let field = 0; field < 4; field++) at = text.indexOf(';', at) + 1;
  try {
    return JSON.parse(text.slice(at)) as JsonValue;
  } catch (error) {
    throw foreign(key, error);
  }
}

/** @throws Error naming the key when the text is not an entry */
export function parseEntry(key: string, text: string): StoredEntry {
  const header = /^kv1;(\d+);(\d+);(\d+);(\d*);/.exec(text);
  if (header === null) throw foreign(key);
  const [, version, createdAt, updatedAt, expiresAt] = header;
  return {
    key,
    value: parseValue(key, text),
    version: BigInt(version!),
    createdAt: new Date(Number(createdAt)),
    updatedAt: new Date(Number(updatedAt)),
    expiresAt: expiresAt === '' ? null : new Date(Number(expiresAt)),
  };
}

export function parseChange(key: string, text: string, revision: bigint): StoredChange {
  if (text.startsWith(MAGIC)) {
    const { value, version, updatedAt } = parseEntry(key, text);
    return { type: 'set', key, value, version, revision, at: updatedAt, expired: false };
  }
  const { version, at, expired } = parseDeletion(key, text);
  return { type: 'delete', key, version, revision, at, expired };
}

export function parseHistory(key: string, text: string): StoredHistoryEntry {
  if (text.startsWith(MAGIC)) {
    const { value, version, updatedAt } = parseEntry(key, text);
    return { key, value, version, deleted: false, at: updatedAt };
  }
  const { version, at } = parseDeletion(key, text);
  return { key, version, deleted: true, at };
}

function parseDeletion(key: string, text: string): { version: bigint; at: Date; expired: boolean } {
  const deletion = /^([dx]);(\d+);(\d+)$/.exec(text);
  if (deletion === null) throw foreign(key);
  return { version: BigInt(deletion[2]!), at: new Date(Number(deletion[3])), expired: deletion[1] === 'x' };
}

/** The error for something under one of our names that we did not write. */
export function foreign(key: string, cause?: unknown): Error {
  return new Error(
    `what Redis holds for key "${key}" was not written by this store. Use a key prefix that nothing else uses.`,
    { cause },
  );
}
