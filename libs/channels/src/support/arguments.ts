import { InvalidArgumentError, assertName, encodeJson, textProblem } from '@nestbox/core';
import type { ListChannelsOptions, NewChannel, RemoveChannelsOptions } from '../channel.store.js';
import type { ChannelRecord } from '../redis/channel-backend.js';

const MAX_LIMIT = 1000;

/** @throws InvalidArgumentError */
export function checkChannel(channel: NewChannel): ChannelRecord {
  if (typeof channel !== 'object' || channel === null) {
    throw new InvalidArgumentError('channel', 'must be { channelId, channelName, openingData? }.');
  }
  const { channelId, channelName, openingData = {}, nodeId } = channel;
  assertName(channelId, 'channelId');
  assertName(channelName, 'channelName');
  if (nodeId !== undefined) assertName(nodeId, 'nodeId');
  return { channelId, channelName, openingData: encodeObject(openingData, 'openingData'), nodeId };
}

/** Checks each, and drops repetitions. @throws InvalidArgumentError */
export function distinctIds(channelIds: readonly string[]): string[] {
  if (!Array.isArray(channelIds)) throw new InvalidArgumentError('channelIds', 'must be an array.');
  const distinct = new Set<string>();
  channelIds.forEach((channelId: unknown, i) => {
    assertName(channelId, `channelIds[${i}]`);
    distinct.add(channelId);
  });
  return [...distinct];
}

/** Whose channels are removed; undefined for everybody's. @throws InvalidArgumentError */
export function ownerOf(options: RemoveChannelsOptions): string | undefined {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError('options', 'must be an object such as { nodeId }.');
  }
  if (options.nodeId !== undefined) assertName(options.nodeId, 'nodeId');
  return options.nodeId;
}

/** JSON of an object. @throws InvalidArgumentError */
export function encodeObject(value: unknown, path: string): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidArgumentError(path, 'must be an object.');
  }
  return encodeJson(value, path);
}

/** Whose a session is; null when it does not say. @throws InvalidArgumentError */
export function userOf(session: object, userKey: string): string | null {
  const user: unknown = Object.hasOwn(session, userKey) ? Reflect.get(session, userKey) : undefined;
  if (typeof user === 'number') return String(user);
  if (typeof user !== 'string' || user === '') return null;
  assertName(user, `session.${userKey}`);
  return user;
}

/** @throws InvalidArgumentError */
export function checkList(options: ListChannelsOptions): {
  name: string | undefined;
  after: string | undefined;
  limit: number;
} {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError('options', 'must be an object such as { limit: 100 }.');
  }
  const { name, cursor, limit = 100 } = options;
  if (name !== undefined) assertName(name, 'name');
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new InvalidArgumentError(
      'limit',
      `${String(limit)} must be a whole number from 1 to ${MAX_LIMIT}.`,
    );
  }
  return { name, after: cursor === undefined ? undefined : readCursor(cursor), limit };
}

/** @throws InvalidArgumentError */
export function assertLease(leaseMs: unknown): asserts leaseMs is number {
  if (!Number.isSafeInteger(leaseMs) || (leaseMs as number) < 1) {
    throw new InvalidArgumentError('leaseMs', `${String(leaseMs)} must be a whole number of at least 1.`);
  }
}

/** A cursor is the last id of its page, in a form that says it is not to be made up. */
export function cursorOf(after: string): string {
  return Buffer.from(after).toString('base64url');
}

function readCursor(cursor: unknown): string {
  const after = typeof cursor === 'string' ? Buffer.from(cursor, 'base64url').toString() : '';
  if (after === '' || textProblem(after) !== undefined || cursorOf(after) !== cursor) {
    throw new InvalidArgumentError('cursor', 'is not one that an earlier page gave.');
  }
  return after;
}

export function assertMaxPayload(maxPayload: number): void {
  if (!Number.isSafeInteger(maxPayload) || maxPayload < 1) {
    throw new InvalidArgumentError('maxPayload', 'must be a whole number of bytes of at least 1.');
  }
}
