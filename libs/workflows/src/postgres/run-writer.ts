import { quoteIdentifier, type Postgres } from '@nestbox/postgres';
import type {
  Ending,
  NewRun,
  RunEnd,
  RunWrite,
  StartOutcome,
  StepRecord,
  WriteOutcome,
} from '../workflow.backend.js';

/** The statements that every run goes through: its start, its steps and its end. */
export class RunWriter {
  private readonly starting: string;
  private readonly writing: string;
  private readonly existing: string;
  private readonly topic: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    const quoted = quoteIdentifier(schema);
    this.starting = `select ord, claim::text as claim from ${quoted}.wf_start($1::text::jsonb)`;
    this.writing = `select ord, is_held, ending, is_done, woken, parent_worker from ${quoted}.wf_write($1::text::jsonb, $2)`;
    this.existing = `select r.workflow from ${quoted}.workflow_runs r where r.id = $1`;
    this.topic = `workflows:${schema}:`;
  }

  /** No two of them have the same id. */
  async start(runs: readonly NewRun[]): Promise<StartOutcome[]> {
    const rows = await this.postgres.query(this.starting, [`[${runs.map(encodeRun).join(',')}]`]);
    const outcomes = Array.from<StartOutcome>({ length: runs.length });
    for (const { ord, claim } of rows) {
      outcomes[Number(ord) - 1] = { kind: 'started', claim: BigInt(claim as string) };
    }
    for (const [i, run] of runs.entries()) outcomes[i] ??= await this.whatExists(run.id);
    return outcomes;
  }

  async write(writes: readonly RunWrite[]): Promise<WriteOutcome[]> {
    const text = `[${writes.map(encodeWrite).join(',')}]`;
    const rows = await this.postgres.query(this.writing, [text, contents(writes)]);
    this.tell(writes, rows);
    const outcomes = Array.from<WriteOutcome>({ length: writes.length });
    for (const row of rows) {
      outcomes[Number(row['ord']) - 1] = {
        held: row['is_held'] === true,
        ending: (row['ending'] as Ending | null) ?? undefined,
        done: row['is_done'] === true,
      };
    }
    return outcomes;
  }

  private async whatExists(id: string): Promise<StartOutcome> {
    const [row] = await this.postgres.query(this.existing, [id]);
    // Without a row, it was deleted in between; what it was can no longer matter.
    return { kind: 'exists', workflow: (row?.['workflow'] as string | undefined) ?? '' };
  }

  /** Wakes those who wait for what was written. */
  private tell(writes: readonly RunWrite[], rows: readonly Record<string, unknown>[]): void {
    const { wakeup } = this.postgres;
    const isReady = Number(rows[0]?.['woken'] ?? 0) > 0 || writes.some(({ end }) => end?.kind === 'release');
    if (isReady) wakeup.notify(`${this.topic}ready`);
    if (writes.some(({ end, isAwaitedElsewhere }) => isAwaitedElsewhere && isEnd(end))) {
      wakeup.notify(`${this.topic}ended`);
    }
    for (const { parent_worker: worker } of rows) {
      if (typeof worker === 'string') wakeup.notify(`${this.topic}worker:${worker}`);
    }
  }
}

function isEnd(end: RunEnd | undefined): boolean {
  return end?.kind === 'completed' || end?.kind === 'ended' || end?.kind === 'stuck';
}

/** The letters that `wf_write` looks for. */
function contents(writes: readonly RunWrite[]): string {
  let has = '';
  if (writes.some(({ steps }) => steps.length > 0)) has += 's';
  if (writes.some(({ steps }) => steps.some(({ signalId }) => signalId !== undefined))) has += 'g';
  if (writes.some(({ values }) => values.length > 0)) has += 'v';
  if (writes.some(({ isProgress }) => isProgress)) has += 'p';
  if (writes.some(({ end }) => end?.kind === 'completed' || end?.kind === 'ended')) has += 'e';
  if (writes.some(({ end }) => end !== undefined && end.kind !== 'completed' && end.kind !== 'ended'))
    has += 'w';
  return has;
}

function encodeRun(run: NewRun): string {
  const { id, workflow, version, input, queue, priority, partitionKey, delayMs, deadlineMs } = run;
  const head = [id, workflow, version ?? null].map((text) => JSON.stringify(text)).join(',');
  const { maxRecoveries, parentId, traceparent, worker } = run;
  const rest: unknown[] = [queue, priority, partitionKey, delayMs, deadlineMs, maxRecoveries, parentId];
  rest.push(traceparent, worker);
  return `[${head},${input},${JSON.stringify(rest.map((value) => value ?? null)).slice(1)}`;
}

function encodeWrite({ runId, claim, steps, values, isProgress, parentId, end }: RunWrite): string {
  const stepText = steps.map(encodeStep).join(',');
  const valueText = values
    .map(({ key, value, writes }) => `[${JSON.stringify(key)},${value},${writes}]`)
    .join(',');
  const parent = parentId === undefined ? 'null' : JSON.stringify(parentId);
  return `[${JSON.stringify(runId)},${claim},[${stepText}],[${valueText}],${isProgress},${parent},${encodeEnd(end)}]`;
}

function encodeStep(step: StepRecord): string {
  const { name, kind, status, result, error, seq, after, attempts, durationMs, wakeInMs, wakeAtMs } = step;
  const { isCompensable = false, signalId } = step;
  const head = `${JSON.stringify(name)},"${kind}","${status}",${result ?? 'null'},${error ?? 'null'}`;
  const from = after === undefined ? 'null' : JSON.stringify(after);
  const times = `${durationMs ?? 'null'},${wakeInMs ?? 'null'},${wakeAtMs ?? 'null'}`;
  return `[${head},${seq},${from},${attempts},${times},${isCompensable},${signalId ?? 'null'}]`;
}

function encodeEnd(end: RunEnd | undefined): string {
  switch (end?.kind) {
    case undefined:
      return 'null';
    case 'completed':
      return `["completed",${end.output}]`;
    case 'ended':
      return `["ended","${end.status}",${end.error}]`;
    case 'failing':
    case 'stuck':
      return `["${end.kind}",${end.error}]`;
    case 'release':
      return '["release"]';
    case 'park':
      return `["park",${end.wakeInMs ?? 'null'},${JSON.stringify(end.signals)},${JSON.stringify(end.children)}]`;
  }
}
