import { quoteIdentifier, type Postgres } from '@nestbox/postgres';
import { valueOf } from '../postgres/run-rows.js';
import type { StepStatus } from '../workflow.types.js';
import type { RunState, StateRunStatus, StepState } from './state.types.js';
import type {
  RunInsert,
  RunUpdate,
  RunUpdateOutcome,
  StepUpdate,
  StepUpdateOutcome,
} from './state.writes.js';

const NOW = '(extract(epoch from clock_timestamp()) * 1000)::bigint';

/** The statements of the state service, one for each call. */
export class StateTable {
  private readonly inserting: string;
  private readonly updating: string;
  private readonly reading: string;
  private readonly writing: string;
  private readonly step: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
  ) {
    const [runs, steps, active] = ['workflow_runs', 'workflow_steps', 'workflow_active'].map(
      (table) => `${quoteIdentifier(schema)}.${table}`,
    );
    this.inserting = `insert into ${runs} (id, workflow, status, input)
      select r.value ->> 0, r.value ->> 1, 'running', r.value -> 2
      from jsonb_array_elements($1::text::jsonb) as r(value)`;
    this.updating = `with written as (
        update ${runs} r set status = $2, output = coalesce($3::text::jsonb, r.output),
          error = coalesce($4::text::jsonb, r.error), updated_at = ${NOW}
        where r.id = $1 and r.status in ('running', 'suspended')
          and not exists (select from ${active} a where a.run_id = r.id)
        returning r.id
      )
      select r.status, exists (select from written) as done,
             exists (select from ${active} a where a.run_id = r.id) as busy
      from ${runs} r where r.id = $1`;
    this.reading = `select r.workflow, r.status, r.input::text as input, r.output::text as output, r.error::text as error,
        r.created_at::float8 as created, r.updated_at::float8 as updated
      from ${runs} r where r.id = $1`;
    // Everybody locks steps in the same order.
    this.writing = `with given as materialized (
        select s.ord::integer as ord, s.value ->> 0 as run_id, s.value ->> 1 as name, s.value ->> 2 as status,
               s.value -> 3 as value
        from jsonb_array_elements($1::text::jsonb) with ordinality as s(value, ord)
      ), known as materialized (
        select g.*, r.status not in ('running', 'suspended') as over from given g join ${runs} r on r.id = g.run_id
      ), written as (
        insert into ${steps} as s (run_id, step_name, status, result, error)
        select k.run_id, k.name, k.status, case k.status when 'done' then k.value end,
               case k.status when 'error' then k.value end
        from known k where not (k.over and k.status = 'scheduled')
        order by k.run_id collate "C", k.name collate "C"
        on conflict (run_id, step_name) do update
          set status = excluded.status, result = excluded.result, error = excluded.error, updated_at = ${NOW},
              attempts = s.attempts + (s.status = 'error')::integer
          where s.status <> 'done'
        returning s.run_id, s.step_name, s.attempts
      )
      select k.ord, w.attempts from known k
      left join written w on w.run_id = k.run_id and w.step_name = k.name`;
    this.step = `select s.status, s.result::text as result, s.error::text as error, s.updated_at::float8 as updated
      from ${steps} s where s.run_id = $1 and s.step_name = $2`;
  }

  async insertRuns(runs: readonly RunInsert[]): Promise<void> {
    const text = runs.map(
      ({ id, workflow, input }) => `[${JSON.stringify(id)},${JSON.stringify(workflow)},${input}]`,
    );
    await this.postgres.query(this.inserting, [`[${text.join(',')}]`]);
  }

  async updateRun({ id, status, output, error }: RunUpdate): Promise<RunUpdateOutcome> {
    const [row] = await this.postgres.query(this.updating, [id, status, output ?? null, error ?? null]);
    if (row === undefined) return { kind: 'absent' };
    if (row['done'] === true) return { kind: 'written' };
    return row['busy'] === true
      ? { kind: 'engine', status: row['status'] as StateRunStatus }
      : { kind: 'kept' };
  }

  async run(id: string): Promise<RunState | null> {
    const [row] = await this.postgres.query(this.reading, [id]);
    if (row === undefined) return null;
    return {
      id,
      workflow: row['workflow'] as string,
      status: row['status'] as RunState['status'],
      input: valueOf(row['input']),
      ...(row['output'] === null ? {} : { output: valueOf(row['output']) }),
      ...(row['error'] === null ? {} : { error: valueOf(row['error']) }),
      createdAt: Number(row['created']),
      updatedAt: Number(row['updated']),
    };
  }

  /** No two of them are of the same step. */
  async writeSteps(updates: readonly StepUpdate[]): Promise<StepUpdateOutcome[]> {
    const rows = await this.postgres.query(this.writing, [`[${updates.map(encodeStep).join(',')}]`]);
    const outcomes = updates.map((): StepUpdateOutcome => ({ kind: 'absent' }));
    for (const { ord, attempts } of rows) {
      outcomes[Number(ord) - 1] =
        attempts === null ? { kind: 'kept' } : { kind: 'written', attempts: Number(attempts) };
    }
    return outcomes;
  }

  async readStep(runId: string, stepName: string): Promise<StepState | undefined> {
    const [row] = await this.postgres.query(this.step, [runId, stepName]);
    if (row === undefined) return undefined;
    return {
      status: row['status'] as StepStatus,
      ...(row['result'] === null ? {} : { result: valueOf(row['result']) }),
      ...(row['error'] === null ? {} : { error: valueOf(row['error']) }),
      updatedAt: Number(row['updated']),
    };
  }
}

function encodeStep({ runId, stepName, status, value }: StepUpdate): string {
  return `[${JSON.stringify(runId)},${JSON.stringify(stepName)},"${status}",${value ?? 'null'}]`;
}
