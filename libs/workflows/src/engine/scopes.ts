import type { LoadedStep } from '../workflow.backend.js';
import { AmbiguousStepError } from '../workflow.errors.js';

/**
 * The names of branches: one that is used again gets a number, as a step does. In a replay, the number is that of what
 * was recorded behind the same call, so that branches which run at the same time find their own.
 */
export class Scopes {
  private readonly open = new Set<string>();
  /** The numbers of each name that are taken, by a recorded step or in this execution. */
  private readonly taken = new Map<string, Set<number>>();
  /** Those with recorded steps that have not been come to yet, by {@link keyOf}, in the order of their first steps. */
  private readonly recorded = new Map<string, number[]>();

  constructor(
    private readonly runId: string,
    steps: readonly LoadedStep[],
  ) {
    for (const { name, after } of steps) {
      for (let end = name.indexOf('/'); end !== -1; end = name.indexOf('/', end + 1)) {
        this.note(name.slice(0, end), after);
      }
    }
  }

  /**
   * @param after the call that leads to it
   * @param fn is called at once
   * @throws AmbiguousStepError while there is a branch of this name
   */
  async use<R>(base: string, after: string | undefined, fn: (scope: string) => Promise<R>): Promise<R> {
    const known = this.recorded.get(keyOf(base, after))?.shift();
    if (known !== undefined) return fn(nameOf(base, known));
    if (this.open.has(base)) throw new AmbiguousStepError(this.runId, base);
    this.open.add(base);
    try {
      return await fn(nameOf(base, this.take(base)));
    } finally {
      this.open.delete(base);
    }
  }

  /** Notes the branch that a recorded step is in. */
  private note(scope: string, after: string | undefined): void {
    const hash = scope.lastIndexOf('#');
    const isNumbered = hash > scope.lastIndexOf('/');
    const base = isNumbered ? scope.slice(0, hash) : scope;
    const number = isNumbered ? Number(scope.slice(hash + 1)) : 1;
    const taken = this.takenOf(base);
    // What comes later in it is no way into it.
    if (taken.has(number) || after?.startsWith(`${scope}/`) === true) return;
    taken.add(number);
    const key = keyOf(base, after);
    const others = this.recorded.get(key);
    if (others === undefined) this.recorded.set(key, [number]);
    else others.push(number);
  }

  /** The lowest that is free: one without any recorded step has the same in a replay. */
  private take(base: string): number {
    const taken = this.takenOf(base);
    let number = 1;
    while (taken.has(number)) number++;
    taken.add(number);
    return number;
  }

  private takenOf(base: string): Set<number> {
    const found = this.taken.get(base) ?? new Set<number>();
    this.taken.set(base, found);
    return found;
  }
}

function nameOf(base: string, number: number): string {
  return number === 1 ? base : `${base}#${number}`;
}

function keyOf(base: string, after: string | undefined): string {
  return after === undefined ? base : `${base}\0${after}`;
}
