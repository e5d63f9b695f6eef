import { AmbiguousStepError } from '../workflow.errors.js';

/** The names of branches: one that is used again later gets a number, as a step does. */
export class Scopes {
  private readonly counts = new Map<string, number>();
  private readonly open = new Set<string>();

  constructor(private readonly runId: string) {}

  /** @throws AmbiguousStepError while there is a branch of this name */
  async use<R>(base: string, fn: (scope: string) => Promise<R>): Promise<R> {
    if (this.open.has(base)) throw new AmbiguousStepError(this.runId, base);
    const n = (this.counts.get(base) ?? 0) + 1;
    this.counts.set(base, n);
    this.open.add(base);
    try {
      return await fn(n === 1 ? base : `${base}#${n}`);
    } finally {
      this.open.delete(base);
    }
  }
}
