import type { Redis } from '@nestbox/redis';

/** How an operation ended, and after how many ms. */
export interface Outcome {
  value?: unknown;
  error?: unknown;
  ms: number;
}

export async function outcomeOf(operation: () => PromiseLike<unknown>): Promise<Outcome> {
  const start = performance.now();
  try {
    return { value: await operation(), ms: performance.now() - start };
  } catch (error) {
    return { error, ms: performance.now() - start };
  }
}

/** A pipeline's only result; ioredis gives errors of its commands as results. */
export async function pipelined(one: Redis): Promise<unknown> {
  const [[error, value] = []] = (await one.client.pipeline().get('a').exec()) ?? [];
  if (error) throw error;
  return value;
}
