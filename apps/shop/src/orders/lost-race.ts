import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '@nestbox/core';
import { EventStoreOperationError, ExpectedVersionConflictError } from '@nestbox/event-store';
import { KvOperationError, VersionConflictError } from '@nestbox/kv';
import { CommitOutcomeUnknownError } from '@nestbox/postgres';
import { QueryFailedError } from 'typeorm';
import { unavailable } from '../http/problem.js';

/** A lost race means that somebody else got through, so this many in a row is a traffic jam. */
const MAX_ATTEMPTS = 100;

/** What was missing when we wanted to take it was there again when we looked. */
export class ProductChangedError extends Error {}

/**
 * Looks and writes again as long as somebody else gets between the two. An attempt must find out by itself whether an
 * earlier one has happened after all.
 */
export async function untilWon<R>(attempt: () => Promise<R>): Promise<R> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isLostRace(error)) throw error;
      if (count === MAX_ATTEMPTS) throw unavailable('Too many order the same. Try again.', error);
      await sleep(backoffMs(count, { baseMs: 2, maxMs: 100 }));
    }
  }
}

/**
 * Whether to look again: somebody else answered under the key or changed a product or a cart, two orders met in a
 * deadlock, or the connection broke during the commit, so that only another look tells whether it happened.
 */
function isLostRace(error: unknown): boolean {
  if (error instanceof ProductChangedError || error instanceof CommitOutcomeUnknownError) return true;
  if (error instanceof VersionConflictError || error instanceof ExpectedVersionConflictError) return true;
  const isWrapped = error instanceof KvOperationError || error instanceof EventStoreOperationError;
  const cause: unknown = isWrapped
    ? error.cause
    : error instanceof QueryFailedError
      ? error.driverError
      : error;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined;
  return code === '40P01' || code === '40001';
}
