import { assertName, messageOf } from '@nestbox/core';
import { assertVersion } from '../adapter-support.js';
import type { HeldEntry, HeldHistory, Snapshot, Tombstone } from '../memory/local-state.js';

/*
 * The file is one JSON object with an entry per line, so that it can be read by people and by tools:
 *
 *   {"nestbox":"key-value store","format":1,"revision":"2","floor":"0","leases":"0",
 *   "entries":[
 *   {"key":"a","version":"1","createdAt":"…","updatedAt":"…","expiresAt":null,"value":{"x":1}}
 *   ],
 *   "tombstones":[…],
 *   "history":[…]}
 *
 * A whole number with more digits than a JavaScript number holds is a "counter" in quotes, instead of a "value".
 */
const NAME = 'key-value store';
const FORMAT = 1;

/** The text of a file. */
export function encodeSnapshot({ revision, floor, leases, entries, tombstones, history }: Snapshot): string {
  const head = {
    nestbox: NAME,
    format: FORMAT,
    revision: `${revision}`,
    floor: `${floor}`,
    leases: `${leases}`,
  };
  const lines = {
    entries: Array.from(entries, ([key, entry]) => encodeEntry(key, entry)),
    tombstones: Array.from(tombstones, ([key, { version, at }]) =>
      JSON.stringify({ key, version: `${version}`, at: new Date(at) }),
    ),
    history: Array.from(history).flatMap(([key, states]) => states.map((item) => encodeHistory(key, item))),
  };
  const lists = Object.entries(lines).map(([name, list]) => `"${name}":[\n${list.join(',\n')}\n]`);
  return `${JSON.stringify(head).slice(0, -1)},\n${lists.join(',\n')}}\n`;
}

/** @throws Error saying what is wrong with the text */
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  if (bytes.length === 0) throw new Error('it is empty, which this adapter never leaves it.');
  const file = asObject(parse(bytes), 'it');
  if (file['nestbox'] !== NAME) throw new Error('it was not written by this adapter.');
  if (file['format'] !== FORMAT) {
    throw new Error(
      `it has format ${String(file['format'])}, but this version of Nestbox reads format ${FORMAT}.`,
    );
  }
  const entries = new Map<string, HeldEntry>();
  for (const { fields, path, key } of items(file, 'entries')) {
    entries.set(key, {
      json: valueOf(fields, path),
      version: whole(fields['version'], `${path}.version`),
      createdAt: time(fields['createdAt'], `${path}.createdAt`),
      updatedAt: time(fields['updatedAt'], `${path}.updatedAt`),
      expiresAt: fields['expiresAt'] === null ? null : time(fields['expiresAt'], `${path}.expiresAt`),
    });
  }
  const tombstones = new Map<string, Tombstone>();
  for (const { fields, path, key } of items(file, 'tombstones')) {
    tombstones.set(key, {
      version: whole(fields['version'], `${path}.version`),
      at: time(fields['at'], `${path}.at`),
    });
  }
  const history = new Map<string, HeldHistory[]>();
  for (const { fields, path, key } of items(file, 'history')) {
    const states = history.get(key) ?? [];
    history.set(key, states);
    states.push({
      version: whole(fields['version'], `${path}.version`),
      json: fields['deleted'] === true ? undefined : valueOf(fields, path),
      at: time(fields['at'], `${path}.at`),
    });
  }
  return {
    revision: whole(file['revision'], 'revision'),
    floor: whole(file['floor'], 'floor'),
    leases: whole(file['leases'], 'leases'),
    entries,
    tombstones,
    history,
  };
}

function encodeEntry(key: string, { json, version, createdAt, updatedAt, expiresAt }: HeldEntry): string {
  const head = JSON.stringify({
    key,
    version: `${version}`,
    createdAt: new Date(createdAt),
    updatedAt: new Date(updatedAt),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
  });
  return `${head.slice(0, -1)},${encodeValueMember(json)}}`;
}

function encodeHistory(key: string, { version, json, at }: HeldHistory): string {
  const head = JSON.stringify({ key, version: `${version}`, at: new Date(at) });
  return `${head.slice(0, -1)},${json === undefined ? '"deleted":true' : encodeValueMember(json)}}`;
}

function encodeValueMember(json: string): string {
  return /^-?\d{16,}$/.test(json) ? `"counter":"${json}"` : `"value":${json}`;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Error(`it is not sound JSON: ${messageOf(error)}.`, { cause: error });
  }
}

function* items(
  file: Record<string, unknown>,
  name: string,
): Generator<{ fields: Record<string, unknown>; path: string; key: string }> {
  const list = file[name];
  if (!Array.isArray(list)) throw new Error(`its ${name} are missing.`);
  for (const [i, item] of (list as unknown[]).entries()) {
    const path = `${name}[${i}]`;
    const fields = asObject(item, path);
    const { key } = fields;
    assertName(key, `${path}.key`);
    yield { fields, path, key };
  }
}

function asObject(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error(`${path} is not an object.`);
  return value as Record<string, unknown>;
}

function valueOf(fields: Record<string, unknown>, path: string): string {
  const { counter } = fields;
  if (counter !== undefined) return whole(counter, `${path}.counter`, true).toString();
  if (!Object.hasOwn(fields, 'value')) throw new Error(`${path}.value is missing.`);
  return JSON.stringify(fields['value']);
}

function whole(text: unknown, path: string, negative = false): bigint {
  if (typeof text !== 'string' || !/^-?\d{1,40}$/.test(text))
    throw new Error(`${path} is not a whole number in quotes.`);
  const number = BigInt(text);
  if (!negative) assertVersion(number, path);
  return number;
}

function time(text: unknown, path: string): number {
  const ms = typeof text === 'string' ? Date.parse(text) : NaN;
  if (Number.isNaN(ms)) throw new Error(`${path} is not a time.`);
  return ms;
}
