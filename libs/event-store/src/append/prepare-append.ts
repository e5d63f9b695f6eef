import { randomUUID } from 'node:crypto';
import { InvalidArgumentError, assertJson, assertName, type JsonObject, type JsonValue } from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import type { AppendRequest, NewMessage } from '../event-store.backend.js';
import type { AppendToStreamOptions } from '../event-store.types.js';
import type { Event } from '../event.types.js';
import { checkExpected, checkPartition } from '../support/arguments.js';
import { recast } from '../support/recast.js';
import { messageContext } from './message-context.js';

export interface PrepareSettings {
  readonly codec: Codec | undefined;
  readonly categoryOf: (streamName: string) => string;
  readonly maxEventBytes: number;
}

/** What the store itself knows of an event that was read; it is not written again when the event is appended elsewhere. */
const OWN_METADATA = [
  'messageId',
  'streamName',
  'streamPosition',
  'globalPosition',
  'createdAt',
  'partition',
];

/**
 * Checks and encodes an append.
 *
 * @throws InvalidArgumentError with the path of what is wrong, such as `events[0].data.items[3].price`
 */
export function prepareAppend(
  streamName: string,
  events: readonly Event[],
  options: AppendToStreamOptions<never, Event>,
  settings: PrepareSettings,
): AppendRequest {
  assertName(streamName, 'streamName');
  if (!Array.isArray(events)) throw new InvalidArgumentError('events', 'must be an array of events.');
  const { schema, correlationId, causationId } = options;
  if (correlationId !== undefined) assertName(correlationId, 'correlationId');
  if (causationId !== undefined) assertName(causationId, 'causationId');
  const downcast = schema?.versioning?.downcast;
  const encoded: string[] = [];
  // Unlike map(), it does not skip holes.
  const messages = Array.from(events, (event, i): NewMessage => {
    const path = `events[${i}]`;
    const stored = downcast === undefined ? event : recast(event, downcast);
    const message = prepareMessage(stored, path, { correlationId, causationId }, settings.codec);
    const { type, messageId, hasOwnId, data, metadata } = message;
    const meta = Object.keys(metadata).length === 0 ? null : metadata;
    const text = JSON.stringify([type, messageId, hasOwnId ? 1 : 0, data, meta]);
    assertSize(text, path, settings.maxEventBytes);
    encoded.push(text);
    return message;
  });
  assertDistinct(messages);
  const category = settings.categoryOf(streamName);
  assertName(category, 'categoryOf(streamName)');
  return {
    partition: checkPartition(options.partition),
    streamName,
    category,
    expected: checkExpected(options.expectedStreamVersion),
    messages,
    encoded: `[${encoded.join(',')}]`,
  };
}

interface Ids {
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
}

function prepareMessage(event: Event, path: string, ids: Ids, codec: Codec | undefined): NewMessage {
  if (typeof event !== 'object' || event === null) {
    throw new InvalidArgumentError(path, 'must be an event: { type, data }.');
  }
  const { type } = event;
  assertName(type, `${path}.type`);
  if (type.startsWith('$')) {
    throw new InvalidArgumentError(
      `${path}.type`,
      'must not begin with $, which marks the types of the store itself.',
    );
  }
  const given = event.metadata as Record<string, unknown> | null | undefined;
  const ownId = event.messageId ?? given?.['messageId'];
  if (ownId !== undefined) {
    assertName(ownId, event.messageId === ownId ? `${path}.messageId` : `${path}.metadata.messageId`);
  }
  return {
    type,
    messageId: ownId ?? randomUUID(),
    hasOwnId: ownId !== undefined,
    data: encode(event.data, `${path}.data`, codec),
    metadata: prepareMetadata(given, `${path}.metadata`, ids, codec),
  };
}

function prepareMetadata(
  given: Record<string, unknown> | null | undefined,
  path: string,
  { correlationId, causationId }: Ids,
  codec: Codec | undefined,
): JsonObject {
  if (given !== undefined && !isPlainObject(given))
    throw new InvalidArgumentError(path, 'must be a plain object.');
  const handled = messageContext.getStore();
  const metadata: Record<string, unknown> = { ...given };
  for (const key of OWN_METADATA) if (key in metadata) delete metadata[key];
  setId(metadata, 'correlationId', correlationId ?? handled?.correlationId, path);
  setId(metadata, 'causationId', causationId ?? handled?.causationId, path);
  return encode(metadata, path, codec) as JsonObject;
}

/** Of whatever realm: the copy that is encoded would hide that it was a Map, or an instance of a class. */
function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** What stands in the event's own metadata counts. */
function setId(
  metadata: Record<string, unknown>,
  key: string,
  fallback: string | undefined,
  path: string,
): void {
  const id = metadata[key] ?? fallback;
  if (id === undefined) {
    delete metadata[key];
    return;
  }
  assertName(id, `${path}.${key}`);
  metadata[key] = id;
}

export function encode(value: unknown, path: string, codec: Codec | undefined): JsonValue {
  if (codec !== undefined) return codec.encode(value, path);
  assertJson(value, path);
  return value;
}

function assertSize(text: string, path: string, maxBytes: number): void {
  // Every UTF-16 unit takes at most three bytes, so most events need no count.
  if (text.length * 3 <= maxBytes) return;
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes) {
    throw new InvalidArgumentError(
      path,
      `is ${bytes} bytes of JSON; at most ${maxBytes} are allowed. Keep large content elsewhere, or raise maxEventBytes.`,
    );
  }
}

/** The same id twice in one append would be refused by the database, without saying which. */
function assertDistinct(messages: readonly NewMessage[]): void {
  if (messages.length < 2) return;
  const seen = new Set<string>();
  for (const [i, { messageId, hasOwnId }] of messages.entries()) {
    if (!hasOwnId) continue;
    if (seen.has(messageId)) {
      throw new InvalidArgumentError(`events[${i}].messageId`, `"${messageId}" is there twice.`);
    }
    seen.add(messageId);
  }
}
