import type { ChangeFeed, StoredChange } from '@nestbox/kv';

/** Changes up to the first one of this key, which is among them. */
export async function readUntil(feed: ChangeFeed, key: string): Promise<StoredChange[]> {
  const changes: StoredChange[] = [];
  for (;;) {
    for (const change of await feed.read()) {
      changes.push(change);
      if (change.key === key) return changes;
    }
  }
}

/** The error that a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('It should have failed, but did not.');
    },
    (error: Error) => error,
  );
}

/** Whole numbers from 0. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
