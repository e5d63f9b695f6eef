import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '@nestbox/core';
import { type KeyValueStore, VersionConflictError } from '@nestbox/kv';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import { Preconditions } from './entity-tag.js';
import { preconditionFailed, unavailable } from './problem.js';

/** Each lost race means that somebody else won one, so this many in a row is a traffic jam. */
const MAX_ATTEMPTS = 50;

/** The `If-Match` and `If-None-Match` of the request. */
export const Conditions = createParamDecorator(
  (_data: unknown, context: ExecutionContext) =>
    new Preconditions(context.switchToHttp().getRequest<Request>().headers),
);

/**
 * Writes an entry if the conditions hold, and tells whether it is a new one. The write is tied to the version that
 * the conditions were held against, so that nobody gets in between.
 *
 * @throws ProblemError with 412 when they do not hold
 */
export function putEntry<T>(
  store: KeyValueStore<T>,
  key: string,
  value: T,
  conditions: Preconditions,
): Promise<{ created: boolean; version: bigint }> {
  return retryConflicts(key, async () => {
    const current = await store.entry(key);
    if (!conditions.allowWrite(current?.version)) throw preconditionFailed(current?.version);
    const { version } = await store.set(key, value, { ifVersion: current?.version ?? 'absent' });
    return { created: current === undefined, version };
  });
}

/**
 * Deletes an entry if the conditions hold, and gives the version it had; undefined when there is none. (Conditions
 * do not count where the answer without them would be 404: RFC 9110, section 13.2.1.)
 *
 * @throws ProblemError with 412 when they do not hold
 */
export function deleteEntry<T>(
  store: KeyValueStore<T>,
  key: string,
  conditions: Preconditions,
): Promise<{ version: bigint } | undefined> {
  return retryConflicts(key, async () => {
    const current = await store.entry(key);
    if (current === undefined) return undefined;
    if (!conditions.allowWrite(current.version)) throw preconditionFailed(current.version);
    const deleted = await store.delete(key, { ifVersion: current.version });
    return deleted ? { version: current.version } : undefined;
  });
}

async function retryConflicts<R>(key: string, attempt: () => Promise<R>): Promise<R> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof VersionConflictError)) throw error;
      if (count === MAX_ATTEMPTS) {
        throw unavailable(`${JSON.stringify(key)} is being changed by too many at once. Try again.`, error);
      }
      await sleep(backoffMs(count, { baseMs: 2, maxMs: 100 }));
    }
  }
}
