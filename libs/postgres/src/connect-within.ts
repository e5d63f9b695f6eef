import { setTimeout as sleep } from 'node:timers/promises';
import { ClosedError, TimeoutError, backoffMs } from '@nestbox/core';
import { withTimeout } from './with-timeout.js';
import type { Database } from './pool/database.js';
import { PostgresUnavailableError, isConnectionLost } from './postgres.errors.js';

/**
 * Makes a round trip, and tries again while the server cannot be reached or is still starting. Other failures, such
 * as a wrong password, are final.
 *
 * @throws PostgresUnavailableError; ClosedError
 */
export async function connectWithin(database: Database, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  // That the time was up says less than what went wrong before.
  let reason: unknown;
  for (let attempt = 1; ; attempt++) {
    try {
      await withTimeout(database.query('select 1', []), deadline - performance.now(), timeoutMs);
      return;
    } catch (error) {
      if (error instanceof ClosedError) throw error;
      const pause = backoffMs(attempt, { baseMs: 50, maxMs: 1000 });
      const isLate = error instanceof TimeoutError;
      if (!isLate || reason === undefined) reason = error;
      const isFinal = isLate || !isWorthWaiting(error);
      if (isFinal || performance.now() + pause >= deadline) {
        throw new PostgresUnavailableError(database.address, reason);
      }
      await sleep(pause);
    }
  }
}

/** 53300: too many connections, for now. */
function isWorthWaiting(error: unknown): boolean {
  return isConnectionLost(error) || (error as { code?: unknown } | null)?.code === '53300';
}
