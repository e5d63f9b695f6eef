import { TimeoutError } from '@nestbox/core';

/**
 * What the promise resolves to, if it does so in time. The promise is not stopped, only no longer waited for.
 *
 * @throws TimeoutError
 */
export async function withTimeout<T>(what: string, timeoutMs: number, promise: PromiseLike<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeoutError(what, timeoutMs)), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
