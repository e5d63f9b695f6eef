import { InvalidArgumentError, assertName, textProblem } from '@nestbox/core';
import type { ListTopicsOptions } from '../event-hub.store.js';

const MAX_LIMIT = 1000;

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

/** @throws InvalidArgumentError */
export function checkList(options: ListTopicsOptions): {
  prefix: string;
  after: string | undefined;
  limit: number;
} {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError('options', 'must be an object such as { limit: 100 }.');
  }
  const { prefix = '', cursor, limit = 100 } = options;
  if (prefix !== '') assertName(prefix, 'prefix');
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new InvalidArgumentError(
      'limit',
      `${String(limit)} must be a whole number from 1 to ${MAX_LIMIT}.`,
    );
  }
  return { prefix, after: cursor === undefined ? undefined : readCursor(cursor), limit };
}

/** A cursor is the last topic of its page, in a form that says it is not to be made up. */
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
