import type { JsonValue } from '@nestbox/core';

/** Turns data into JSON and back, for data that JSON cannot hold. It is used for events, documents and snapshots. */
export interface Codec {
  /**
   * @param path what to call the value in an error
   * @throws InvalidArgumentError for what it cannot turn into JSON
   */
  encode(value: unknown, path: string): JsonValue;
  decode(value: JsonValue): unknown;
}
