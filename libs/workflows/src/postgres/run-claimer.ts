import { runInRootScope } from '@nestbox/core';
import { quoteIdentifier, textArray, type Postgres } from '@nestbox/postgres';
import { decodeValue } from '../values/typed-value.js';
import type { ClaimRequest, ClaimedRun, Claims, Ending, LoadedStep } from '../workflow.backend.js';
import { loadedStepOf, STEP_COLUMNS } from './run-rows.js';

type Row = Record<string, unknown>;

/** What the row of a run past its deadline gets; who reads it makes a DeadlineExceededError of it. */
const DEADLINE_ERROR = JSON.stringify({ code: 'DEADLINE_EXCEEDED' });

/** The statements that give workers runs to do. */
export class RunClaimer {
  private readonly claiming: string;
  private readonly returning: string;
  private readonly loading: string;
  private readonly stepping: string;
  private readonly counting: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    const quoted = quoteIdentifier(schema);
    this.claiming = `select c.run_id, c.claim::text as claim, c.is_fresh, c.next_ms
      from ${quoted}.wf_claim($1, $2::integer, $3::text[], $4::text[], $5::text::jsonb) c`;
    this.returning = `update ${quoted}.workflow_active a
        set state = 0, worker = null, due_at = clock_timestamp()
      where a.worker = $1 and a.state = 1
        and not exists (
              select from unnest($2::text[], $3::bigint[]) as k (id, claim) where k.id = a.run_id and k.claim = a.claim
            )`;
    this.loading = `select r.id, r.workflow, r.input, r.error, r.queue, r.priority, r.parent_id, r.traceparent,
        r.created_at::float8 as created_at, a.ending, a.recoveries, a.claim::text as claim,
        (extract(epoch from a.deadline_at - clock_timestamp()) * 1000)::float8 as deadline_ms
      from unnest($1::text[], $2::bigint[]) as c (id, claim)
      join ${quoted}.workflow_active a on a.run_id = c.id and a.claim = c.claim and a.state = 1
      join ${quoted}.workflow_runs r on r.id = c.id`;
    this.stepping = `select s.run_id, ${STEP_COLUMNS} from ${quoted}.workflow_steps s
      where s.run_id = any ($1::text[]) order by s.run_id, s.seq`;
    this.counting = `select v.run_id, v.key, v.writes from ${quoted}.workflow_values v where v.run_id = any ($1::text[])`;
  }

  claim(request: ClaimRequest): Promise<Claims> {
    return runInRootScope(() => this.claimNow(request));
  }

  private async claimNow({ worker, limit, workflows, queues, known }: ClaimRequest): Promise<Claims> {
    if (known !== undefined) {
      const claims = `{${known.map(({ claim }) => String(claim)).join(',')}}`;
      await this.postgres.query(this.returning, [worker, textArray(known.map(({ runId }) => runId)), claims]);
    }
    const rows = await this.postgres.query(this.claiming, [
      worker,
      limit,
      textArray(workflows),
      queues === undefined ? null : textArray(queues),
      DEADLINE_ERROR,
    ]);
    const nextMs = rows.find(({ run_id: id }) => id === null)?.['next_ms'] as number | null | undefined;
    const claimed = rows.filter(({ run_id: id }) => id !== null);
    return {
      runs: claimed.length === 0 ? [] : await this.load(claimed),
      nextInMs: nextMs === null || nextMs === undefined ? undefined : Math.max(0, nextMs),
    };
  }

  private async load(claimed: readonly Row[]): Promise<ClaimedRun[]> {
    const ids = textArray(claimed.map((row) => row['run_id'] as string));
    const claims = `{${claimed.map((row) => row['claim'] as string).join(',')}}`;
    const old = claimed.filter((row) => row['is_fresh'] !== true).map((row) => row['run_id'] as string);
    const [runs, steps, values] = await Promise.all([
      this.postgres.query(this.loading, [ids, claims]),
      old.length === 0 ? [] : this.postgres.query(this.stepping, [textArray(old)]),
      old.length === 0 ? [] : this.postgres.query(this.counting, [textArray(old)]),
    ]);
    const stepsOf = byRun(steps, loadedStepOf);
    const valuesOf = byRun(values, (row): [string, number] => [row['key'] as string, Number(row['writes'])]);
    return runs.map((row) => claimedRunOf(row, stepsOf, valuesOf));
  }
}

function claimedRunOf(
  row: Row,
  stepsOf: ReadonlyMap<string, LoadedStep[]>,
  valuesOf: ReadonlyMap<string, [string, number][]>,
): ClaimedRun {
  const id = row['id'] as string;
  return {
    id,
    workflow: row['workflow'] as string,
    claim: BigInt(row['claim'] as string),
    input: decodeValue(row['input']),
    ending: (row['ending'] as Ending | null) ?? undefined,
    error: row['error'] === null ? undefined : decodeValue(row['error']),
    recoveries: Number(row['recoveries']),
    queue: row['queue'] as string,
    priority: Number(row['priority']),
    parentId: (row['parent_id'] as string | null) ?? undefined,
    traceparent: (row['traceparent'] as string | null) ?? undefined,
    deadlineInMs: row['deadline_ms'] === null ? undefined : Number(row['deadline_ms']),
    createdAtMs: Number(row['created_at']),
    steps: stepsOf.get(id) ?? [],
    values: new Map(valuesOf.get(id)),
  };
}

function byRun<T>(rows: readonly Row[], make: (row: Row) => T): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const row of rows) {
    const id = row['run_id'] as string;
    const others = found.get(id);
    if (others === undefined) found.set(id, [make(row)]);
    else others.push(make(row));
  }
  return found;
}
