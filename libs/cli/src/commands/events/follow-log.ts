import { setTimeout as sleep } from 'node:timers/promises';
import type { EventStore, ReadAllOptions, ReadEvent } from '@nestbox/event-store';
import { isConnectionLost } from '@nestbox/postgres';

export interface FollowOptions extends Omit<ReadAllOptions, 'limit' | 'after'> {
  readonly after: bigint;
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  /** Told once for each time that the server is away. */
  onLost(this: void): void;
  onBack(this: void): void;
}

const PAGE = 500;
const RETRY_MS = 500;

/** The events behind a position, and those that come, in the order of the log with none left out, until the signal. */
export async function* followLog(
  store: EventStore,
  { after, intervalMs, signal, onLost, onBack, ...filter }: FollowOptions,
): AsyncGenerator<ReadEvent> {
  let position = after;
  let isAway = false;
  while (!signal.aborted) {
    try {
      const page = await store.readAll({ ...filter, after: position, limit: PAGE });
      if (isAway) onBack();
      isAway = false;
      yield* page.events;
      position = page.position;
      if (!page.isEnd) continue;
      await pause(intervalMs, signal);
    } catch (error) {
      if (!isConnectionLost(error)) throw error;
      if (!isAway) onLost();
      isAway = true;
      await pause(RETRY_MS, signal);
    }
  }
}

/** Ends early, and quietly, with the signal. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
