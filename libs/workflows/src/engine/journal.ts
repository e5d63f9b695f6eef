import type { LoadedStep } from '../workflow.backend.js';
import type { StepKind } from '../workflow.types.js';
import type { Call } from './call.js';

/** Those that no call of the workflow's own code leads to. */
const ASIDE: readonly StepKind[] = ['compensation', 'patch'];

/**
 * Finds what was recorded of a call. A call is known by its name and by the call that led to it, so that branches which
 * run at the same time find their own, in whatever order they come.
 */
export class Journal {
  /** Names in use, with how often. */
  private readonly counts = new Map<string, number>();
  private readonly byName = new Map<string, LoadedStep>();
  /** What was recorded and has not been called for yet, by {@link keyOf}. */
  private readonly waiting = new Map<string, LoadedStep[]>();
  private waitingCount = 0;
  private nextSeq = 1;
  /** Grows with each record that is found. */
  found = 0;

  constructor(steps: readonly LoadedStep[]) {
    for (const step of steps) {
      this.byName.set(step.name, step);
      this.nextSeq = Math.max(this.nextSeq, step.seq + 1);
      if (ASIDE.includes(step.kind)) continue;
      const key = keyOf(baseOf(step.name), step.after);
      const others = this.waiting.get(key);
      if (others === undefined) this.waiting.set(key, [step]);
      else others.push(step);
      this.waitingCount++;
      this.count(baseOf(step.name), numberOf(step.name));
    }
  }

  /** How many records no call has asked for yet. */
  get left(): number {
    return this.waitingCount;
  }

  /** One of them, for messages. */
  get firstLeft(): LoadedStep | undefined {
    let first: LoadedStep | undefined;
    for (const steps of this.waiting.values()) {
      for (const step of steps) if (first === undefined || step.seq < first.seq) first = step;
    }
    return first;
  }

  /** @param base the scoped name without a number */
  open(base: string, kind: StepKind, after: string | undefined): Call {
    const record = this.take(base, after);
    if (record !== undefined) return { name: record.name, kind, seq: record.seq, after, record };
    const n = (this.counts.get(base) ?? 0) + 1;
    this.counts.set(base, n);
    return { name: n === 1 ? base : `${base}#${n}`, kind, seq: this.nextSeq++, after, record: undefined };
  }

  /** What is recorded under a name, for calls that are no part of the order. */
  aside(name: string): LoadedStep | undefined {
    return this.byName.get(name);
  }

  seq(): number {
    return this.nextSeq++;
  }

  private take(base: string, after: string | undefined): LoadedStep | undefined {
    const key = keyOf(base, after);
    const steps = this.waiting.get(key);
    if (steps === undefined) return undefined;
    const step = steps.shift();
    if (steps.length === 0) this.waiting.delete(key);
    this.waitingCount--;
    this.found++;
    return step;
  }

  private count(base: string, number: number): void {
    this.counts.set(base, Math.max(this.counts.get(base) ?? 0, number));
  }
}

function keyOf(base: string, after: string | undefined): string {
  return after === undefined ? base : `${base}\0${after}`;
}

function baseOf(name: string): string {
  const hash = name.lastIndexOf('#');
  return hash > name.lastIndexOf('/') ? name.slice(0, hash) : name;
}

function numberOf(name: string): number {
  const hash = name.lastIndexOf('#');
  return hash > name.lastIndexOf('/') ? Number(name.slice(hash + 1)) : 1;
}
