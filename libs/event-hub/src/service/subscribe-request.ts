import type { Position } from '@nestbox/channels';
import type { JsonObject, JsonValue } from '@nestbox/core';

/*
 * What instances say to each other about subscriptions. Others may be of another release, so nothing that comes from
 * them is taken for granted.
 */

/** To subscribe a channel to a topic, or to end its subscription; without a topic, all of them. */
export interface SubscribeRequest {
  topic?: string;
  since?: Position;
}

export function requestOf(topic: string, since: Position | undefined): JsonObject {
  return since === undefined ? { topic } : { topic, since: { ...since } };
}

export function readRequest(payload: JsonValue): SubscribeRequest | undefined {
  if (!isObject(payload)) return undefined;
  const { topic, since } = payload;
  if (topic === undefined) return {};
  if (typeof topic !== 'string') return undefined;
  const from = readPosition(since);
  return from === undefined ? { topic } : { topic, since: from };
}

/** The answer when the channel is subscribed. @param position where the history stood, undefined where there is none */
export function answerOf(position: Position | undefined): JsonObject {
  return position === undefined ? {} : { position: { ...position } };
}

/** @returns undefined when it is not subscribed, since it has ended */
export function readAnswer(answer: JsonValue): { position: Position | undefined } | undefined {
  return isObject(answer) ? { position: readPosition(answer['position']) } : undefined;
}

function readPosition(value: JsonValue | undefined): Position | undefined {
  if (!isObject(value)) return undefined;
  const { epoch, offset } = value;
  return typeof epoch === 'string' && typeof offset === 'number' ? { epoch, offset } : undefined;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
