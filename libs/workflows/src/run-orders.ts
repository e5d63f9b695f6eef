import { assertName } from '@nestbox/core';
import { activeTraceparent, inTrace } from './observe/traceparent.js';
import { operation } from './operation.js';
import { assertPriority } from './prepare-run.js';
import type { CheckedFilter } from './run-filter.js';
import { uuidv7 } from './uuid.js';
import { checkSize, encodeError, encodeValue } from './values/typed-value.js';
import type { RunRow, WorkflowBackend } from './workflow.backend.js';
import { RunCancelledError, RunConflictError, RunNotFoundError, RunStateError } from './workflow.errors.js';
import type { RunStatus } from './workflow.types.js';

const BATCH = 500;
const OPEN: readonly RunStatus[] = ['running', 'suspended', 'stuck', 'dead'];
const HALTED: readonly RunStatus[] = ['stuck', 'dead'];
const RETRYABLE: readonly RunStatus[] = ['failed', 'dead', 'stuck', 'cancelled'];

/** Tells runs what to do. */
export class RunOrders {
  constructor(
    private readonly backend: WorkflowBackend,
    private readonly maxPayloadBytes: number,
    private readonly ready: () => Promise<void>,
  ) {}

  async signal(id: string, name: string, payload: unknown, dedupe: string | undefined): Promise<void> {
    assertName(id, 'id');
    assertName(name, 'name');
    if (dedupe !== undefined) assertName(dedupe, 'options.dedupe');
    const encoded = encodeValue(payload, 'payload');
    checkSize(encoded, 'The payload', this.maxPayloadBytes);
    await this.ready();
    const outcome = await operation(`send signal "${name}" to run "${id}"`, () =>
      this.backend.signal(id, name, encoded, dedupe),
    );
    if (outcome.kind === 'absent') throw new RunNotFoundError(id);
    if (outcome.kind === 'ended')
      throw new RunStateError(id, outcome.status, 'it takes no signals any more.');
    if (outcome.kind !== 'sent') return;
    if (outcome.woke) this.backend.notifyReady();
    const { worker } = outcome;
    if (worker !== undefined) this.backend.afterCommit(() => this.backend.notifyWorker(worker));
  }

  async cancel(id: string): Promise<boolean> {
    assertName(id, 'id');
    await this.ready();
    if ((await this.cancelMany([id])) > 0) return true;
    await this.existing(id, 'cancel');
    return false;
  }

  cancelAll(filter: CheckedFilter): Promise<number> {
    return this.forAll(filter, OPEN, (ids) => this.cancelMany(ids));
  }

  async resume(id: string): Promise<void> {
    assertName(id, 'id');
    await this.ready();
    const done = await operation(`resume run "${id}"`, () => this.backend.resume([id]));
    if (done.length > 0) return this.backend.notifyReady();
    const { status } = await this.existing(id, 'resume');
    if (status === 'running') return;
    throw new RunStateError(
      id,
      status,
      'only stuck, dead, cancelled and suspended runs can be resumed; see retry().',
    );
  }

  resumeAll(filter: CheckedFilter): Promise<number> {
    return this.forAll(filter, HALTED, async (ids) => {
      const done = await operation('resume runs', () => this.backend.resume(ids));
      this.backend.notifyReady();
      return done.length;
    });
  }

  async retry(id: string, fromStep: string | undefined): Promise<void> {
    assertName(id, 'id');
    if (fromStep !== undefined) assertName(fromStep, 'options.fromStep');
    await this.ready();
    const done = await operation(`retry run "${id}"`, () => this.backend.retry([id], fromStep));
    if (done.length > 0) return this.backend.notifyReady();
    const { status } = await this.existing(id, 'retry');
    const isOver = !OPEN.includes(status) || HALTED.includes(status);
    const problem = isOver
      ? fromStep === undefined || status === 'completed'
        ? 'only failed, dead, stuck and cancelled runs whose steps have been undone can be retried.'
        : `it has no step "${fromStep}", or is still being undone.`
      : 'cancel it first, or wait until it is over.';
    throw new RunStateError(id, status, problem);
  }

  retryAll(filter: CheckedFilter): Promise<number> {
    return this.forAll(filter, RETRYABLE, async (ids) => {
      const done = await operation('retry runs', () => this.backend.retry(ids, undefined));
      this.backend.notifyReady();
      return done.length;
    });
  }

  /** @returns the id of the new run */
  async fork(
    id: string,
    options: { fromStep?: string; id?: string; input?: unknown; queue?: string; priority?: number },
  ): Promise<string> {
    assertName(id, 'id');
    const { fromStep, id: newId = uuidv7(), queue, priority } = options;
    assertName(newId, 'options.id');
    if (fromStep !== undefined) assertName(fromStep, 'options.fromStep');
    if (queue !== undefined) assertName(queue, 'options.queue');
    if (priority !== undefined) assertPriority(priority);
    await this.ready();
    const row = await this.existing(id, 'fork');
    const input = encodeValue('input' in options ? options.input : row.input, 'options.input');
    checkSize(input, 'The input', this.maxPayloadBytes);
    const isForked = await operation(`fork run "${id}"`, async () => {
      const [taken] = await this.backend.get([newId]);
      if (taken !== undefined) throw new RunConflictError(newId, row.workflow, taken.workflow);
      const run = inTrace({
        id: newId,
        workflow: row.workflow,
        version: row.version,
        input,
        queue: queue ?? row.queue,
        priority: priority ?? row.priority,
        partitionKey: undefined,
        delayMs: 0,
        deadlineMs: undefined,
        maxRecoveries: 20,
        parentId: undefined,
        traceparent: activeTraceparent(),
        worker: undefined,
      });
      return this.backend.fork(id, fromStep, run);
    });
    if (!isForked) throw new RunStateError(id, row.status, `it has no step "${fromStep}".`);
    this.backend.notifyReady();
    return newId;
  }

  private async cancelMany(ids: readonly string[]): Promise<number> {
    const [first = ''] = ids;
    const error = encodeError(new RunCancelledError(first));
    const { cancelled, workers } = await operation(`cancel run "${first}"`, () =>
      this.backend.cancel(ids, error),
    );
    if (cancelled.length === 0) return 0;
    this.backend.notifyReady();
    this.backend.afterCommit(() => {
      this.backend.notifyEnded();
      for (const worker of workers) this.backend.notifyWorker(worker);
    });
    return cancelled.filter((id) => ids.includes(id)).length;
  }

  private async existing(id: string, what: string): Promise<RunRow> {
    const [row] = await operation(`${what} run "${id}"`, () => this.backend.get([id]));
    if (row === undefined) throw new RunNotFoundError(id);
    return row;
  }

  /** Page by page, from the newest on; those that come meanwhile are not among them. */
  private async forAll(
    filter: CheckedFilter,
    statuses: readonly RunStatus[],
    act: (ids: readonly string[]) => Promise<number>,
  ): Promise<number> {
    await this.ready();
    const wanted = statuses.filter((status) => filter.statuses?.includes(status) ?? true);
    if (wanted.length === 0) return 0;
    let count = 0;
    let before: { createdAtMs: number; id: string } | undefined;
    for (;;) {
      const query = { ...filter, statuses: wanted, before, limit: BATCH };
      const rows = await operation('list runs', () => this.backend.list(query));
      if (rows.length > 0) count += await act(rows.map(({ id }) => id));
      if (rows.length < BATCH) return count;
      before = rows.at(-1)!;
    }
  }
}
