import { TimeoutError } from '@nestbox/core';

/**
 * Settles as the promise does, if that is in time.
 *
 * @param reportedMs what to call the timeout in the error, where `timeoutMs` is what is left of it
 * @throws TimeoutError
 */
export async function withTimeout<T>(
  promise: Promise<T>,
  timeoutMs: number,
  reportedMs = timeoutMs,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeoutError('PostgreSQL', reportedMs)), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
