import { KeyedMutex, assertName } from '@nestbox/core';
import { decodeValue } from '../values/typed-value.js';
import type { Encoded } from '../workflow.backend.js';
import type { StepStatus } from '../workflow.types.js';
import { HeldLocks } from './held-locks.js';
import type { RunState, StateRunStatus, StepState } from './state.types.js';
import type {
  RunInsert,
  RunUpdate,
  RunUpdateOutcome,
  StepUpdate,
  StepUpdateOutcome,
} from './state.writes.js';
import { WorkflowStateService } from './workflow-state.service.js';

interface StoredStep {
  status: StepStatus;
  value: Encoded | undefined;
  attempts: number;
  updatedAt: number;
}

interface StoredRun {
  readonly workflow: string;
  readonly input: Encoded;
  readonly createdAt: number;
  readonly steps: Map<string, StoredStep>;
  status: StateRunStatus;
  output: Encoded | undefined;
  error: Encoded | undefined;
  updatedAt: number;
}

/** The state of runs in the memory of this process, for tests. It goes with the object. */
export class MemoryWorkflowStateService extends WorkflowStateService {
  private readonly runs = new Map<string, StoredRun>();
  private readonly mutex = new KeyedMutex();
  private readonly held = new HeldLocks();

  async init(): Promise<void> {
    // There is nothing to prepare.
  }

  async close(): Promise<void> {
    // There is nothing to end.
  }

  async withRunLock<T>(id: string, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
    assertName(id, 'id');
    this.held.assertFree(id);
    return this.mutex.run(id, () => this.held.run(id, () => fn(new AbortController().signal)));
  }

  protected async insertRun({ id, workflow, input }: RunInsert): Promise<void> {
    const now = Date.now();
    this.runs.set(id, {
      workflow,
      input,
      createdAt: now,
      updatedAt: now,
      steps: new Map(),
      status: 'running',
      output: undefined,
      error: undefined,
    });
  }

  protected async readRun(id: string): Promise<RunState | null> {
    const run = this.runs.get(id);
    if (run === undefined) return null;
    const { workflow, status, createdAt, updatedAt, input, output, error } = run;
    const values = { ...valueOf('output', output), ...valueOf('error', error) };
    return { id, workflow, status, input: parse(input), ...values, createdAt, updatedAt };
  }

  protected async writeRun({ id, status, output, error }: RunUpdate): Promise<RunUpdateOutcome> {
    const run = this.runs.get(id);
    if (run === undefined) return { kind: 'absent' };
    if (isOver(run)) return { kind: 'kept' };
    run.status = status;
    run.output = output ?? run.output;
    run.error = error ?? run.error;
    run.updatedAt = Date.now();
    return { kind: 'written' };
  }

  protected async readStep(runId: string, stepName: string): Promise<StepState | undefined> {
    const step = this.runs.get(runId)?.steps.get(stepName);
    if (step === undefined) return undefined;
    const { status, value, updatedAt } = step;
    return { status, ...valueOf(status === 'done' ? 'result' : 'error', value), updatedAt };
  }

  protected async writeStep({ runId, stepName, status, value }: StepUpdate): Promise<StepUpdateOutcome> {
    const run = this.runs.get(runId);
    if (run === undefined) return { kind: 'absent' };
    const before = run.steps.get(stepName);
    if (before?.status === 'done' || (status === 'scheduled' && isOver(run))) return { kind: 'kept' };
    const attempts = (before?.attempts ?? 1) + (before?.status === 'error' ? 1 : 0);
    run.steps.set(stepName, { status, value, attempts, updatedAt: Date.now() });
    return { kind: 'written', attempts };
  }

  protected afterCommit(fn: () => Promise<void>): Promise<void> {
    return fn();
  }
}

function isOver({ status }: StoredRun): boolean {
  return status !== 'running' && status !== 'suspended';
}

function parse(encoded: Encoded): unknown {
  return decodeValue(JSON.parse(encoded));
}

function valueOf(key: string, encoded: Encoded | undefined): Record<string, unknown> {
  return encoded === undefined ? {} : { [key]: parse(encoded) };
}
