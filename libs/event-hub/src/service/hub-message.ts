import type { BackplaneMessage } from '@nestbox/channels';
import type { JsonValue } from '@nestbox/core';

/** A message of a topic, as `history` and `subscribe` give it. */
export interface HubMessage<Data = unknown> {
  topic: string;
  /** A Buffer where `binary` is true. */
  data: Data;
  binary: boolean;
  epoch: string;
  offset: number;
  /** The id of the instance that published it. */
  origin: string;
}

/** What a handler learns about a message beside its data. */
export interface HubMessageContext {
  topic: string;
  /** With a history. */
  epoch?: string;
  /** With a history. */
  offset?: number;
  binary: boolean;
  /** The id of the instance that published it. */
  origin: string;
}

export function contextOf(message: BackplaneMessage): HubMessageContext {
  const { topic, binary, origin, position } = message;
  return { topic, ...position, binary, origin };
}

export function hubMessageOf<Data>(message: BackplaneMessage): HubMessage<Data> {
  const { topic, binary, origin, position } = message;
  // What comes out of a history has a position.
  const { epoch, offset } = position ?? { epoch: '', offset: 0 };
  return { topic, data: dataOf(message) as Data, binary, epoch, offset, origin };
}

/** A value of its own for each caller, so that none changes what the others see. */
export function dataOf({ binary, payload }: { binary: boolean; payload: Buffer }): JsonValue | Buffer {
  return binary ? Buffer.from(payload) : (JSON.parse(payload.toString('utf8')) as JsonValue);
}
