import { quoteIdentifier, textArray, type Postgres, type Row } from '@nestbox/postgres';
import { RunConflictError } from '../workflow.errors.js';
import type { Encoded, NewRun, SignalOutcome } from '../workflow.backend.js';
import type { RunStatus } from '../workflow.types.js';
import { again } from './again.js';
import type { RunWriter } from './run-writer.js';

/** What a cancel has done. */
export interface Cancelled {
  readonly cancelled: string[];
  /** Those that have some of them. */
  readonly workers: string[];
  /** Those that have a parent of one. */
  readonly parentWorkers: string[];
}

/** The statements with which somebody outside a run tells it what to do. */
export class RunOrders {
  private readonly runs: string;
  private readonly steps: string;
  private readonly signalling: string;
  private readonly cancelling: string;
  private readonly resuming: string;
  private readonly retrying: string;
  private readonly deleting: string;

  constructor(
    private readonly postgres: Postgres,
    schema: string,
    private readonly writer: Pick<RunWriter, 'start'>,
  ) {
    const quoted = quoteIdentifier(schema);
    this.runs = `${quoted}.workflow_runs`;
    this.steps = `${quoted}.workflow_steps`;
    this.signalling = `select outcome, run_status as status, holder as worker, woke
      from ${quoted}.wf_signal($1, $2, $3::text::jsonb, $4)`;
    this.cancelling = `select cancelled as id, holder as worker from ${quoted}.wf_cancel($1::text[], $2::text::jsonb)`;
    this.resuming = `select id from ${quoted}.wf_resume($1::text[]) as id`;
    this.retrying = `select id from ${quoted}.wf_retry($1::text[], $2) as id`;
    // By the time of creation, for which there is an index.
    this.deleting = `with cutoff as (
        select (extract(epoch from clock_timestamp()) * 1000 - $1::float8)::bigint as at
      ), old as materialized (
        select r.id
          from ${this.runs} r
         where r.created_at <= (select c.at from cutoff c) and r.updated_at <= (select c.at from cutoff c)
           and r.status in ('completed', 'failed', 'cancelled')
           and not exists (select from ${quoted}.workflow_active a where a.run_id = r.id)
         order by r.created_at
         limit $2::integer
           for update skip locked
      ), gone as (
        delete from ${this.runs} r using old o where r.id = o.id returning r.id
      )
      select count(*)::float8 as count from gone`;
  }

  async signal(
    runId: string,
    name: string,
    payload: Encoded,
    dedupe: string | undefined,
  ): Promise<SignalOutcome> {
    const [row] = await this.order(this.signalling, [runId, name, payload, dedupe ?? null]);
    const { outcome, status, worker, woke } = row!;
    switch (outcome) {
      case 'sent':
        return { kind: 'sent', worker: (worker as string | null) ?? undefined, woke: woke === true };
      case 'ended':
        return { kind: 'ended', status: status as RunStatus };
      case 'repeated':
        return { kind: 'repeated' };
      default:
        return { kind: 'absent' };
    }
  }

  async cancel(runIds: readonly string[], error: Encoded): Promise<Cancelled> {
    const rows = await this.order(this.cancelling, [textArray(runIds), error]);
    const workersOf = (isParent: boolean): string[] => {
      const those = rows.filter(({ id, worker }) => (id === null) === isParent && worker !== null);
      return [...new Set(those.map(({ worker }) => worker as string))];
    };
    return {
      cancelled: rows.filter(({ id }) => id !== null).map(({ id }) => id as string),
      workers: workersOf(false),
      parentWorkers: workersOf(true),
    };
  }

  async resume(runIds: readonly string[]): Promise<string[]> {
    const rows = await this.order(this.resuming, [textArray(runIds)]);
    return rows.map(({ id }) => id as string);
  }

  async retry(runIds: readonly string[], fromStep: string | undefined): Promise<string[]> {
    const rows = await this.order(this.retrying, [textArray(runIds), fromStep ?? null]);
    return rows.map(({ id }) => id as string);
  }

  /**
   * Copies what was done before the step; without one, nothing.
   *
   * @throws RunConflictError when the id of the new run is taken
   */
  fork(runId: string, fromStep: string | undefined, run: NewRun): Promise<boolean> {
    return this.postgres.transaction(async () => {
      const [source] = await this.postgres.query(
        `select s.seq from ${this.runs} r
           left join ${this.steps} s on s.run_id = r.id and s.step_name = $2 and s.kind <> 'compensation'
          where r.id = $1 and ($2::text is null or s.seq is not null)`,
        [runId, fromStep ?? null],
      );
      if (source === undefined) return false;
      const outcome = (await this.writer.start([run]))[0]!;
      if (outcome.kind === 'exists') throw new RunConflictError(run.id, run.workflow, outcome.workflow);
      await this.postgres.query(
        `with copied as (
           insert into ${this.steps} (
             run_id, step_name, status, result, error, updated_at, kind, seq, after, attempts, duration_ms, wake_at,
             is_compensable
           )
           select $2, s.step_name, s.status, s.result, s.error, s.updated_at, s.kind, s.seq, s.after, s.attempts,
                  s.duration_ms, s.wake_at, s.is_compensable
             from ${this.steps} s
            where s.run_id = $1 and s.seq < $3::integer and s.status in ('done', 'error') and s.kind <> 'compensation'
         )
         update ${this.runs} r set forked_from = $1 where r.id = $2`,
        [runId, run.id, source['seq']],
      );
      return true;
    });
  }

  async deleteEnded(olderThanMs: number, limit: number): Promise<number> {
    const [row] = await this.postgres.query(this.deleting, [olderThanMs, limit]);
    return Number(row!['count']);
  }

  /** One that meets others in a deadlock is given again, unless it is a part of the caller's transaction. */
  private order(text: string, params: readonly unknown[]): Promise<Row[]> {
    const give = (): Promise<Row[]> => this.postgres.query(text, params);
    return this.postgres.currentTransaction === undefined ? again(give) : give();
  }
}
