import { InvalidArgumentError, encodeJson, type JsonValue } from '@nestbox/core';
import { PayloadTooLargeError } from '../channel.errors.js';
import type { Frame } from '../channel.transport.js';

/**
 * The frame of a message.
 *
 * @param target whom it is for, such as `channel "a"`
 * @throws InvalidArgumentError; PayloadTooLargeError
 */
export function frameOf(
  target: string,
  data: JsonValue | Uint8Array,
  binary: boolean,
  maxPayload: number,
): Frame {
  const bytes = binary ? bytesOf(data) : Buffer.from(encodeJson(data, 'data'));
  if (bytes.length > maxPayload) throw new PayloadTooLargeError(target, bytes.length, maxPayload);
  return { data: bytes, binary };
}

/** A copy, since the caller may use its bytes again before they are sent. */
function bytesOf(data: JsonValue | Uint8Array): Buffer {
  if (data instanceof Uint8Array) return Buffer.from(data);
  throw new InvalidArgumentError('data', 'must be a Uint8Array with binary: true.');
}
