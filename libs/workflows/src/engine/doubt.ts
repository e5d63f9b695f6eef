import type { Execution } from './execution.js';

/** For how long a statement whose answer was lost may still be under way. */
const DOUBT_MS = 1_000;

/**
 * Whether a worker may have been given runs that it does not know of, since the answer to a claim or a start was lost.
 * As long as it lives, nobody else would take them.
 */
export class Doubt {
  private since: number | undefined;
  private askedAt = 0;

  get isThere(): boolean {
    return this.since !== undefined;
  }

  raise(): void {
    this.since = performance.now();
  }

  /** What the worker knows to have, for all else to be given back; undefined when there is no need. */
  ask(executions: Iterable<Execution>): { runId: string; claim: bigint }[] | undefined {
    if (this.since === undefined) return undefined;
    this.askedAt = performance.now();
    return [...executions].map(({ runId, claim }) => ({ runId, claim }));
  }

  /** It was asked and answered. @returns in how many ms to ask again */
  settle(): number | undefined {
    if (this.since === undefined) return undefined;
    if (this.askedAt - this.since < DOUBT_MS) return DOUBT_MS;
    this.since = undefined;
    return undefined;
  }
}
