import { InvalidArgumentError, assertName } from '@nestbox/core';
import type { MapOptions } from '../workflow-context.js';
import { Semaphore } from './semaphore.js';

/** Runs a branch for each item and waits for all of them. @throws InvalidArgumentError; the first error of a branch */
export async function mapBranches<T, R>(
  items: readonly T[],
  key: (item: T, index: number) => string | number,
  { concurrency }: MapOptions,
  branch: (item: T, index: number, key: string) => Promise<R>,
): Promise<R[]> {
  if (concurrency !== undefined && !(Number.isSafeInteger(concurrency) && concurrency > 0)) {
    throw new InvalidArgumentError(
      'options.concurrency',
      `${concurrency} must be a whole number of at least 1.`,
    );
  }
  const keys = keysOf(items, key);
  const room = concurrency === undefined ? undefined : new Semaphore(concurrency);
  const results = await Promise.allSettled(
    items.map((item, index) => {
      const run = (): Promise<R> => branch(item, index, keys[index]!);
      return room === undefined ? run() : room.run(run);
    }),
  );
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

function keysOf<T>(items: readonly T[], key: (item: T, index: number) => string | number): string[] {
  const seen = new Map<string, number>();
  return items.map((item, index) => {
    const given: unknown = key(item, index);
    const text = typeof given === 'number' ? String(given) : given;
    assertName(text, `key of items[${index}]`);
    const other = seen.get(text);
    if (other !== undefined) {
      throw new InvalidArgumentError(
        `key of items[${index}]`,
        `is "${text}", as that of items[${other}]; give each item a key of its own.`,
      );
    }
    seen.set(text, index);
    return text;
  });
}
