import { MemoryWorkflowBackend } from '../../src/memory/memory.workflow-backend.js';
import type { WorkflowClock } from '../../src/memory/clock.js';
import { encodeValue } from '../../src/values/typed-value.js';
import type { Claims, ClaimRequest, NewRun, RunWrite, StepRecord } from '../../src/workflow.backend.js';

/** Time stands still but for what a test says. */
export class StoppedClock implements WorkflowClock {
  private at = Date.UTC(2030, 0, 1);
  private readonly listeners = new Set<() => void>();

  now(): number {
    return this.at;
  }

  skip(ms: number): void {
    this.at += ms;
    for (const listener of this.listeners) listener();
  }

  onSkip(listener: () => void): Disposable {
    this.listeners.add(listener);
    return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
  }
}

export const encode = (value: unknown): string => encodeValue(value, 'value');

export function newRun(id: string, change: Partial<NewRun> = {}): NewRun {
  return {
    id,
    workflow: 'order',
    version: undefined,
    input: encode({ id }),
    queue: 'default',
    priority: 0,
    partitionKey: undefined,
    delayMs: 0,
    deadlineMs: undefined,
    maxRecoveries: 20,
    parentId: undefined,
    traceparent: undefined,
    worker: undefined,
    ...change,
  };
}

export function step(name: string, seq: number, change: Partial<StepRecord> = {}): StepRecord {
  return {
    name,
    kind: 'step',
    status: 'done',
    result: encode(name),
    seq,
    after: undefined,
    attempts: 1,
    ...change,
  };
}

export function newWrite(runId: string, claim: bigint, change: Partial<RunWrite> = {}): RunWrite {
  return {
    runId,
    claim,
    steps: [],
    values: [],
    isProgress: false,
    parentId: undefined,
    isAwaitedElsewhere: false,
    end: undefined,
    ...change,
  };
}

export const COMPLETED = { kind: 'completed', output: encode('result') } as const;
export const RELEASE = { kind: 'release' } as const;
export const STUCK = { kind: 'stuck', error: encode(new Error('stuck')) } as const;
export const FAILING = { kind: 'failing', error: encode(new Error('failing')) } as const;
export const FAILED = { kind: 'ended', status: 'failed', error: encode(new Error('failed')) } as const;
export const CANCELLED = {
  kind: 'ended',
  status: 'cancelled',
  error: encode(new Error('cancelled')),
} as const;

export function park(
  wakeInMs?: number,
  { signals = [], children = [] }: { signals?: readonly string[]; children?: readonly string[] } = {},
) {
  return { kind: 'park', wakeInMs, signals, children } as const;
}

/** A backend, and short ways to ask it. */
export class Bench {
  readonly clock = new StoppedClock();
  readonly backend = new MemoryWorkflowBackend({ clock: this.clock });

  async join(): Promise<string> {
    return (await this.backend.join()).worker;
  }

  claim(worker: string, change: Partial<ClaimRequest> = {}): Promise<Claims> {
    return this.backend.claim({
      worker,
      limit: 100,
      workflows: ['order', 'other'],
      queues: undefined,
      ...change,
    });
  }

  async claimIds(worker: string, change: Partial<ClaimRequest> = {}): Promise<string[]> {
    return (await this.claim(worker, change)).runs.map(({ id }) => id);
  }

  /** Starts a run, as claimed by a worker. */
  async begin(worker: string, id: string, change: Partial<NewRun> = {}): Promise<bigint> {
    const outcome = await this.backend.start(newRun(id, { worker, ...change }));
    if (outcome.kind !== 'started') throw new Error(`${id} was there`);
    return outcome.claim;
  }

  write(runId: string, claim: bigint, change: Partial<RunWrite> = {}) {
    return this.backend.write(newWrite(runId, claim, change));
  }

  async status(id: string): Promise<string | undefined> {
    return (await this.backend.get([id]))[0]?.status;
  }

  async stepNames(id: string): Promise<string[]> {
    return (await this.backend.steps(id)).map(({ name }) => name);
  }
}
