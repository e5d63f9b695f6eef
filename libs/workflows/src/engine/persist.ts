import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '@nestbox/core';
import type { Execution } from './execution.js';
import { never } from './turns.js';

const RECOVERY = { baseMs: 50, maxMs: 2_000 };

/** Asks the backend until it can be reached; for what may be done twice. */
export async function persist<R>(execution: Execution, ask: () => Promise<R>): Promise<R> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (!execution.host.backend.isUnavailable(error)) throw error;
      if (!execution.holds) return never();
      await sleep(backoffMs(attempt, RECOVERY), undefined, { ref: false });
    }
  }
}
