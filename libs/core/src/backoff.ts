/** How long to wait between attempts. */
export interface BackoffOptions {
  /** The first wait, in ms. */
  baseMs: number;
  /** The longest wait, in ms. */
  maxMs: number;
  /** What each wait is multiplied by. Default: 2. */
  factor?: number;
}

/**
 * The wait before attempt `attempt` (1 for the first retry), in ms: exponential with half of it random, so that
 * clients which failed together do not come back together ("equal jitter", AWS Architecture Blog, 2015).
 */
export function backoffMs(attempt: number, { baseMs, maxMs, factor = 2 }: BackoffOptions): number {
  const full = Math.min(maxMs, baseMs * factor ** Math.max(0, attempt - 1));
  return full / 2 + Math.random() * (full / 2);
}
