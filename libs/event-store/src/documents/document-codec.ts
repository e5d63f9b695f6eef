import { InvalidArgumentError, assertJson, type JsonObject, type JsonValue } from '@nestbox/core';
import type { Codec } from '../codec/codec.js';
import type { StoredDocument } from './document.backend.js';

/** What is added to a document when it is read. */
export interface DocumentFields {
  readonly _id: string;
  /** Grows by 1 with each change. Not enumerable, so that it is no part of the document's JSON. */
  readonly _version: bigint;
}

/** A document as users see it. */
export function toDocument<T extends object>(
  { id, data, version }: StoredDocument,
  codec: Codec | undefined,
): T & DocumentFields {
  const content = codec === undefined ? data : (codec.decode(data) as object);
  const document = withId(id, content);
  Object.defineProperty(document, '_version', { value: version, configurable: true, writable: true });
  return document as T & DocumentFields;
}

/** The document with its `_id` in front. */
export function withId(id: string, content: object): object {
  return { _id: id, ...content, ...('_id' in content ? { _id: id } : undefined) };
}

/**
 * A document as it is stored: without `_id` and `_version`.
 *
 * @throws InvalidArgumentError unless it is an object that JSON, or else the codec, can hold
 */
export function toData(document: unknown, codec: Codec | undefined, path = 'document'): JsonObject {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    const found = document === null ? 'null' : Array.isArray(document) ? 'an array' : typeof document;
    throw new InvalidArgumentError(path, `must be an object, not ${found}.`);
  }
  // Before the copy, which would make a plain object of anything.
  if (codec === undefined) assertJson(document, path);
  const { _id, _version, ...content } = document as Partial<DocumentFields> & Record<string, unknown>;
  if (codec === undefined) return content as JsonObject;
  const data: JsonValue = codec.encode(content, path);
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    throw new InvalidArgumentError(path, 'was encoded by the codec as something else than a JSON object.');
  }
  return data;
}
